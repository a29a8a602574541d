"""A realm of its own: MIT's KDC on a loopback port, with its files in one directory."""

import atexit
import os
import subprocess

from cluster import eventually
from ports import free_port

REALM = "EXAMPLE.ORG"
MASTER_PASSWORD = "of-the-test"


class Kdc:
    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory)
        self.port = free_port()
        self.conf = self.write("krb5.conf", self.client_conf())
        profile = self.write("kdc.conf", f"""[kdcdefaults]
    kdc_listen = 127.0.0.1:{self.port}
    kdc_tcp_listen = 127.0.0.1:{self.port}
[realms]
    {REALM} = {{
        database_name = {directory}/principal
        key_stash_file = {directory}/stash
        acl_file = {directory}/acl
        supported_enctypes = aes256-cts:normal aes128-cts:normal aes256-sha2:normal aes128-sha2:normal
        max_life = 1d
    }}
[logging]
    kdc = FILE:{directory}/kdc.log
    default = FILE:{directory}/other.log
""")
        self.environment = {**os.environ, "KRB5_CONFIG": self.conf, "KRB5_KDC_PROFILE": profile}
        self.run(["kdb5_util", "create", "-s", "-r", REALM, "-P", MASTER_PASSWORD])
        self.process = None

    def client_conf(self, **more):
        settings = {
            "default_realm": REALM, "dns_lookup_kdc": "false", "dns_lookup_realm": "false", "rdns": "false",
            "dns_canonicalize_hostname": "false", "udp_preference_limit": "1", **more,
        }
        lines = "".join(f"    {key} = {value}\n" for key, value in settings.items())
        return (f"[libdefaults]\n{lines}[realms]\n    {REALM} = {{\n        kdc = 127.0.0.1:{self.port}\n    }}\n"
                f"[domain_realm]\n    localhost = {REALM}\n")

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def run(self, command, **more):
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, **more)
        if done.returncode:
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def admin(self, *queries):
        """Queries to the database, which needs nobody to serve it."""
        done = self.run(["kadmin.local", "-r", REALM], input="".join(f"{query}\n" for query in queries))
        return done

    def keytab(self, name, *principals, enctypes=""):
        """A new file with new keys of these principals, which are made if they are not there."""
        path = os.path.join(self.directory, f"{name}.keytab")
        enctypes = f"-e {enctypes}" if enctypes else ""
        for principal in principals:
            self.admin(f"addprinc -randkey {principal}", f"ktadd -k {path} {enctypes} {principal}")
        if not os.path.exists(path):
            raise AssertionError(f"no {path}")
        return path

    def start(self):
        log = open(os.path.join(self.directory, "kdc.out"), "ab")
        self.process = subprocess.Popen(["krb5kdc", "-n", "-r", REALM], env=self.environment, stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log, start_new_session=True)
        atexit.register(self.end)
        path = os.path.join(self.directory, "kdc.log")

        def serves():
            if self.process.poll() is not None:
                raise AssertionError("the KDC ended")
            return os.path.exists(path) and "commencing operation" in open(path).read()

        eventually("a KDC that serves", serves)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(60)
