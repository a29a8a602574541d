"""Tests of TLS with real clients. Each function whose name begins with test_ is one; arguments choose some of them."""

import http.server
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NoAuthError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.security import ACL, Id, Permissions

from alone import CLASSPATH, IS_JAVA, WORK, Alone, check, run_tests
from cluster import LOGBACK, TEST_JVM, Cluster, Failed, eventually
from ports import free_port

STORES = os.path.join(WORK, "stores")
BOB = r"CN=bob,OU=dev,O=Example\, Inc"
CONNECT_SECONDS = 60


def store(name):
    return os.path.join(STORES, name)


class Server(Alone):
    def __init__(self, secure=True, **changes):
        super().__init__()
        self.port, self.secure_port = free_port(), free_port()
        settings = {
            "dataDir": os.path.join(self.directory, "data"), "clientPort": self.port,
            "clientPortAddress": "127.0.0.1", "admin.enableServer": "false", "4lw.commands.whitelist": "*",
            "serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory",
            "ssl.keyStore.location": store("server.jks"), "ssl.keyStore.password": "secret",
            "ssl.trustStore.location": store("ca.jks"), "ssl.trustStore.password": "secret",
        }
        if secure:
            settings.update({"secureClientPort": self.secure_port, "secureClientPortAddress": "127.0.0.1"})
        settings.update({key.replace("__", "."): value for key, value in changes.items()})
        self.run(settings)
        ports = [int(settings[key]) for key in ("clientPort", "secureClientPort") if key in settings]
        eventually(lambda: f"a server that listens: {self.log()[-3000:]}",
                   lambda: all(map(listens, ports)) or self.process.poll() is not None)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        return True
    except OSError:
        return False


def kazoo(port, name="bob", patience=CONNECT_SECONDS, **options):
    """A connected client that shows that certificate; None where it is not let in."""
    files = {"certfile": store(f"{name}.pem"), "keyfile": store(f"{name}.key")} if name else {}
    client = KazooClient(f"127.0.0.1:{port}", use_ssl=True, ca=store("ca.pem"), verify_certs=True,
                         check_hostname=False, connection_retry={"max_tries": 1, "delay": 0.01}, **files, **options)
    try:
        client.start(patience)
    except (KazooTimeoutError, KazooException):
        client.stop()
        client.close()
        return None
    return client


def done(client):
    client.stop()
    client.close()


def s_client(port, *arguments, say="ruok"):
    """What a server says to a word inside of TLS, and what openssl says of it."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", store("ca.pem"), "-quiet",
               "-verify_return_error", *arguments]
    result = subprocess.run(command, input=say.encode(), capture_output=True, timeout=60)
    return result.stdout.decode(errors="replace"), result.stderr.decode(errors="replace")


BOBS = ("-cert", store("bob.pem"), "-key", store("bob.key"))


def shakes_hands(port, name="bob", **options):
    """A word through TLS with that certificate, by Python's own library; None where it is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(store("ca.pem"))
    context.check_hostname = False
    if name:
        context.load_cert_chain(store(f"{name}.pem"))
    for option, value in options.items():
        setattr(context, option, value)
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as plain, context.wrap_socket(plain) as secure:
            secure.sendall(b"ruok")
            return secure.recv(100).decode() or None
    except (ssl.SSLError, ConnectionError):
        return None


def words(port, word):
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        plain.sendall(word.encode())
        return plain.makefile().read()


def java_client(port, *command, name="bob", kind="jks", **properties):
    """The command line client of the Java release, over TLS."""
    settings = {
        "zookeeper.client.secure": "true",
        "zookeeper.clientCnxnSocket": "org.apache.zookeeper.ClientCnxnSocketNetty",
        "zookeeper.ssl.keyStore.location": store(f"{name}.{kind}"), "zookeeper.ssl.keyStore.password": "secret",
        "zookeeper.ssl.trustStore.location": store(f"ca.{kind}"), "zookeeper.ssl.trustStore.password": "secret",
    }
    settings.update({key.replace("__", "."): value for key, value in properties.items()})
    logback = os.path.join(WORK, "client-logback.xml")
    with open(logback, "w") as file:
        file.write(LOGBACK.replace("INFO", "WARN"))
    result = subprocess.run(
        ["java", *TEST_JVM.split(), f"-Dlogback.configurationFile={logback}",
         *(f"-D{key}={value}" for key, value in settings.items()), "-cp", CLASSPATH,
         "org.apache.zookeeper.ZooKeeperMain", "-server", f"127.0.0.1:{port}", "-timeout", "60000", *command],
        capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
    return result.returncode, result.stdout.decode() + result.stderr.decode()


# -- clients --

def test_java_client():
    with Server() as server:
        code, said = java_client(server.secure_port, "-waitforconnection", "create", "/java", "data")
        check(0, code, said)
        code, said = java_client(server.secure_port, "-waitforconnection", "get", "/java", kind="p12")
        check(0, code, said)
        check(True, "data" in said, said)


def test_identity_and_acl():
    with Server(ssl__keyStore__location=store("server.p12"), ssl__trustStore__location=store("ca.p12"),
                X509AuthenticationProvider__superUser="CN=carol,O=Test") as server:
        bob = kazoo(server.secure_port, "bob")
        acl = [ACL(Permissions.ALL, Id("x509", BOB))]
        bob.create("/bobs", b"mine", acl=acl)
        check(b"mine", bob.get("/bobs")[0])
        check(BOB, bob.get_acls("/bobs")[0][0].id.id)
        bob.create("/auth", b"", acl=[ACL(Permissions.ALL, Id("auth", ""))])
        check([("x509", BOB)], [(a.id.scheme, a.id.id) for a in bob.get_acls("/auth")[0]])
        plain = KazooClient(f"127.0.0.1:{server.port}")
        plain.start(CONNECT_SECONDS)
        for other in (plain, kazoo(server.secure_port, "elsewhere")):
            try:
                other.get("/bobs")
                raise Failed("somebody else reads what is Bob's")
            except NoAuthError:
                done(other)
        carol = kazoo(server.secure_port, "carol")
        check(b"mine", carol.get("/bobs")[0], "the super user")
        done(carol)
        done(bob)


def test_many_at_once():
    """Large and small, both ways, from several threads: records are cut anywhere."""
    with Server() as server:
        clients = [kazoo(server.secure_port) for _ in range(4)]
        wrong = []

        def work(number, client):
            for n in range(30):
                data = bytes([number]) * (n * 20011 % 900_000 + 1)
                path = f"/many-{number}-{n}"
                client.create(path, data)
                asked = [client.get_async(path) for _ in range(5)]
                if any(answer.get()[0] != data for answer in asked):
                    wrong.append(path)

        threads = [threading.Thread(target=work, args=pair) for pair in enumerate(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check([], wrong)
        check(120, len([c for c in clients[0].get_children("/") if c.startswith("many")]))
        for client in clients:
            done(client)


def test_words():
    with Server() as server:
        said, told = s_client(server.secure_port, *BOBS)
        check("imok", said, told)
        said, told = s_client(server.secure_port, *BOBS, say="conf")
        check(True, f"secureClientPort={server.secure_port}" in said, said)
        check(True, f"clientPort={server.port}" in said, said)
        client = kazoo(server.secure_port)
        check(True, "Connections: 2" in words(server.port, "srvr"), "srvr")
        check(2, words(server.port, "cons").count("/127.0.0.1:"), "cons")
        done(client)


def test_who_is_turned_away():
    with Server() as server:
        for name in (None, "mallory", "expired"):
            check(None, shakes_hands(server.secure_port, name), f"{name} with ruok")
        check(None, kazoo(server.secure_port, "mallory", patience=5), "mallory with a session")
        check("imok", shakes_hands(server.secure_port, "bob"))
        said, told = s_client(server.secure_port, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", *BOBS)
        check("", said, told)
        # A client that speaks no TLS gets nothing either.
        with socket.create_connection(("127.0.0.1", server.secure_port), 10) as plain:
            plain.sendall(b"ruok" * 5)
            plain.settimeout(20)
            try:
                answer = plain.recv(100)
            except ConnectionError:
                answer = b""
            check(False, b"imok" in answer)
        check("imok", words(server.port, "ruok"), "the plain port")
        if not IS_JAVA:
            eventually("a line in the log", lambda: "Unsuccessful handshake" in server.log())


def test_protocols_and_ciphers():
    for version in ("TLSv1_2", "TLSv1_3"):
        with Server(ssl__enabledProtocols=version.replace("_", ".")) as server:
            wanted = getattr(ssl.TLSVersion, version)
            other = {"TLSv1_2": ssl.TLSVersion.TLSv1_3, "TLSv1_3": ssl.TLSVersion.TLSv1_2}[version]
            check("imok", shakes_hands(server.secure_port, minimum_version=wanted, maximum_version=wanted), version)
            check(None, shakes_hands(server.secure_port, minimum_version=other, maximum_version=other), version)
    with Server(ssl__ciphersuites="TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
                ssl__enabledProtocols="TLSv1.2") as server:
        said, told = s_client(server.secure_port, "-cipher", "ECDHE-RSA-AES256-GCM-SHA384", *BOBS)
        check("imok", said, told)
        said, told = s_client(server.secure_port, "-cipher", "ECDHE-RSA-AES128-GCM-SHA256", *BOBS)
        check("", said, told)


def test_client_auth():
    with Server(ssl__clientAuth="want") as server:
        check("imok", shakes_hands(server.secure_port, None))
        check("imok", shakes_hands(server.secure_port, "bob"))
        check(None, shakes_hands(server.secure_port, "mallory"))
        nobody = kazoo(server.secure_port, None)
        nobody.create("/nobodys", b"")
        done(nobody)
    with Server(ssl__clientAuth="none", ssl__trustStore__location=None, ssl__trustStore__password=None) as server:
        check("imok", shakes_hands(server.secure_port, None))


def test_stores_and_passwords():
    with Server(ssl__keyStore__location=store("server.pem"), ssl__keyStore__password=None,
                ssl__trustStore__location=store("ca.pem"), ssl__trustStore__password=None) as server:
        check("imok", shakes_hands(server.secure_port))
    with Server(ssl__keyStore__location=store("server.p12"), ssl__keyStore__password=None,
                ssl__keyStore__passwordPath=store("password")) as server:
        check("imok", shakes_hands(server.secure_port))
        check(False, "secret" in server.log(), "a password in the log")
    with Server(ssl__keyStore__location=store("bob-encrypted.pem")) as server:
        check("imok", shakes_hands(server.secure_port))


def test_bad_stores():
    """Each is refused at the start, with the file and the reason, and without the password."""
    if IS_JAVA:
        return
    for name in ("cut.jks", "cut.p12", "empty.pem", "text.jks"):
        path = store(name)
        with open(path, "wb") as file:
            if name.startswith("cut"):
                with open(store("server." + name.split(".")[1]), "rb") as whole:
                    file.write(whole.read()[:500])
            elif name.startswith("text"):
                file.write(b"hello")
    cases = [
        ({"ssl__keyStore__password": "wrongword"}, "ssl.keyStore.location: " + store("server.jks")),
        ({"ssl__keyStore__location": store("server.p12"), "ssl__keyStore__password": "wrongword"},
         store("server.p12") + ": the password is wrong"),
        ({"ssl__keyStore__location": store("absent.jks")}, store("absent.jks") + ": No such file"),
        ({"ssl__keyStore__location": store("cut.jks")}, store("cut.jks")),
        ({"ssl__keyStore__location": store("cut.p12")}, store("cut.p12")),
        ({"ssl__keyStore__location": store("text.jks")}, store("text.jks")),
        ({"ssl__keyStore__location": store("empty.pem")}, store("empty.pem") + ": it is empty"),
        ({"ssl__keyStore__location": store("ca.pem")}, store("ca.pem") + ": it has no private key"),
        ({"ssl__keyStore__location": store("bob-encrypted.pem"), "ssl__keyStore__password": "wrongword"},
         "does not open its private key"),
        ({"ssl__keyStore__passwordPath": store("absent")}, store("absent") + ": No such file"),
        ({"ssl__trustStore__location": store("server.pem")}, "it has no certificate to trust"),
    ]
    for settings, expected in cases:
        with Server(**settings) as server:
            check(True, server.process.wait(60) != 0, f"{settings}")
            check(True, expected in server.log(), f"{expected} in {server.log()}")
            check(False, "wrongword" in server.log(), "a password in the log")


def test_port_unification():
    with Server(secure=False, client__portUnification="true") as server:
        check("imok", words(server.port, "ruok"))
        check("imok", shakes_hands(server.port))
        plain = KazooClient(f"127.0.0.1:{server.port}")
        plain.start(CONNECT_SECONDS)
        secure = kazoo(server.port)
        secure.create("/unified", b"by TLS")
        check(b"by TLS", plain.get("/unified")[0])
        figures = words(server.port, "mntr")
        check(True, "zk_non_mtls_local_conn_count\t" in figures, figures)
        check(False, "zk_non_mtls_local_conn_count\t0" in figures, figures)
        # One byte at a time.
        with socket.create_connection(("127.0.0.1", server.port), 10) as slow:
            for byte in b"ruok":
                slow.sendall(bytes([byte]))
                time.sleep(0.05)
            check(b"imok", slow.recv(10))
        done(plain)
        done(secure)


def test_revoked():
    with Lists(), Server(ssl__crl="true") as server:
        check("imok", shakes_hands(server.secure_port, "bob"))
        check(None, shakes_hands(server.secure_port, "revoked"))
    if not IS_JAVA:
        # Nobody knows: the list cannot be had.
        with Server(ssl__crl="true") as server:
            check(None, shakes_hands(server.secure_port, "bob"))
            # The client hears of it before the log does.
            eventually("the reason in the log",
                       lambda: "whether the certificate is revoked is not known" in server.log())


class Lists:
    """The web server that certificates name."""

    def __enter__(self):
        class Quiet(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments):
                super().__init__(*arguments, directory=STORES)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["LIST_PORT"])), Quiet)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def shown_to(port):
    """The certificate of the server, as a number."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(store("bob.pem"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as plain, context.wrap_socket(plain) as secure:
            return secure.getpeercert(True)
    except (ssl.SSLError, ConnectionError):
        return None


def test_reload():
    """By a file that takes the place of the old one, and by a directory behind a link, as Kubernetes does it."""
    if IS_JAVA:
        return  # It notices changes of the very name in the setting only.
    directory = os.path.join(WORK, "mounted")
    for version, name in (("v1", "server"), ("v2", "elsewhere"), ("v3", "server")):
        os.makedirs(os.path.join(directory, version))
        shutil.copy(store(f"{name}.pem"), os.path.join(directory, version, "key.pem"))
        shutil.copy(store("ca.pem"), os.path.join(directory, version, "trust.pem"))
    os.symlink("v1", os.path.join(directory, "data"))
    for name in ("key.pem", "trust.pem"):
        os.symlink(f"data/{name}", os.path.join(directory, name))
    with Server(ssl__keyStore__location=os.path.join(directory, "key.pem"), ssl__keyStore__password=None,
                ssl__trustStore__location=os.path.join(directory, "trust.pem"), ssl__trustStore__password=None,
                client__certReload="true") as server:
        first = shown_to(server.secure_port)
        client = kazoo(server.secure_port)
        os.symlink("v2", os.path.join(directory, "new"))
        os.replace(os.path.join(directory, "new"), os.path.join(directory, "data"))
        eventually("another certificate", lambda: shown_to(server.secure_port) not in (None, first))
        # A broken file changes nothing.
        second = shown_to(server.secure_port)
        with open(os.path.join(directory, "v2", "key.pem"), "w") as file:
            file.write("nonsense")
        eventually("a complaint", lambda: "cannot be used" in server.log())
        check(second, shown_to(server.secure_port), "after a file that cannot be used")
        # The trust store: now Mallory is let in and Bob is not.
        check(None, shakes_hands(server.secure_port, "mallory"))
        os.symlink("v3", os.path.join(directory, "new"))
        os.replace(os.path.join(directory, "new"), os.path.join(directory, "data"))
        new = os.path.join(directory, "v3", "new.pem")
        shutil.copy(store("other.pem"), new)
        os.replace(new, os.path.join(directory, "v3", "trust.pem"))
        eventually("trust in the other CA", lambda: shakes_hands(server.secure_port, "mallory") == "imok")
        check(None, shakes_hands(server.secure_port, "bob"))
        # Who was there before stays.
        client.create("/still-there", b"")
        done(client)


def test_handshakes_do_not_hold_up_others():
    """Connections that never finish their handshake, and one that works meanwhile."""
    with Server() as server:
        idle = [socket.create_connection(("127.0.0.1", server.secure_port), 10) for _ in range(50)]
        for connection in idle[::2]:
            connection.sendall(b"\x16\x03\x01")
        client = kazoo(server.secure_port)
        client.create("/meanwhile", b"")
        if not IS_JAVA:
            for connection in idle:
                connection.settimeout(30)
                check(b"", connection.recv(1), "a connection without a handshake ends")
        done(client)


# -- between servers --

def quorum_settings(name="server", dials=True, unified=False, **more):
    settings = {
        "sslQuorum": str(dials).lower(), "portUnification": str(unified).lower(),
        "ssl.quorum.keyStore.location": store(f"{name}.jks"), "ssl.quorum.keyStore.password": "secret",
        "ssl.quorum.trustStore.location": store("ca.jks"), "ssl.quorum.trustStore.password": "secret",
        "serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory",
        # The first handshake of a JVM takes seconds where it has few cores.
        "quorumCnxnTimeoutMs": 30000,
    }
    settings.update({key.replace("__", "."): value for key, value in more.items()})
    return settings


def write_and_read(cluster, path):
    """Through every server: what one takes, all have."""
    for server in cluster:
        client = KazooClient(f"127.0.0.1:{server.client_port}")
        client.start(60)
        client.create(f"{path}-{server.sid}", b"x" * 100_000, makepath=True)
        done(client)
    for server in cluster:
        client = KazooClient(f"127.0.0.1:{server.client_port}")
        client.start(60)
        client.sync("/")
        for other in cluster:
            check(100_000, len(client.get(f"{path}-{other.sid}")[0]), f"{server}")
        done(client)


def ensemble(kinds, name, **settings):
    cluster = Cluster(os.path.join(WORK, name), kinds, settings=quorum_settings(**settings))
    cluster.start()
    return cluster


def speaks_tls(port):
    """Whether a port answers a greeting of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(store("server.pem"))
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as plain, context.wrap_socket(plain):
            return True
    except (ssl.SSLError, ConnectionError):
        return False


def check_mixed(kinds, name):
    cluster = ensemble(kinds, name)
    try:
        write_and_read(cluster, "/tls")
        for server in cluster:
            check(True, speaks_tls(server.election_port), f"{server}'s election port")
        # Somebody else leads: the links are made anew.
        leader = next(s for s in cluster if s.mode() == "leader")
        leader.kill()
        rest = [s for s in cluster if s is not leader]
        eventually("another leader", lambda: any(s.mode() == "leader" for s in rest))
        leader.start()
        cluster.wait_serving()
        write_and_read(cluster, "/tls-again")
    except BaseException:
        tell(cluster)
        raise
    finally:
        cluster.end()


def tell(cluster):
    for server in cluster:
        print(f"--- {server}\n{server.log()[-2500:]}")


def test_quorum_ferrokeeper():
    check_mixed(["ferrokeeper"] * 3, "quorum-fk")


def test_quorum_java_leads():
    check_mixed(["java-3.9", "ferrokeeper", "ferrokeeper"], "quorum-java-leads")


def test_quorum_java_follows():
    check_mixed(["ferrokeeper", "java-3.9", "java-3.9"], "quorum-java-follows")


def test_quorum_rolling():
    """From plaintext to TLS, one server after the other, always with a quorum."""
    cluster = Cluster(os.path.join(WORK, "rolling"), ["ferrokeeper", "java-3.9", "ferrokeeper"],
                      settings=quorum_settings(dials=False, unified=False))
    cluster.start()
    try:
        write_and_read(cluster, "/plain")
        for step, (dials, unified) in enumerate([(False, True), (True, True), (True, False)]):
            for server in cluster:
                server.stop()
                cluster.settings.update(quorum_settings(dials=dials, unified=unified))
                server.configure()
                server.start()
                cluster.wait_serving()
            write_and_read(cluster, f"/step{step}")
        check(True, all(speaks_tls(server.election_port) for server in cluster), "TLS at the end")
    except BaseException:
        tell(cluster)
        raise
    finally:
        cluster.end()


def test_quorum_strangers():
    """A member whose certificate is of another CA, or of another host, is not let in."""
    for name, more, expected in (("mallory", {}, None),
                                 ("elsewhere", {"fips-mode": "false"}, "the certificate is for elsewhere.example")):
        settings = quorum_settings(**more)
        cluster = Cluster(os.path.join(WORK, f"strangers-{name}"), ["ferrokeeper"] * 3, settings=settings)
        stranger = cluster[1]
        try:
            cluster.settings.update(quorum_settings(name, **more))
            stranger.configure()
            cluster.settings.update(settings)
            for server in (cluster[3], cluster[2]):
                server.start()
            cluster.wait_serving(cluster[2], cluster[3])
            stranger.start()
            eventually("a complaint of the others", lambda: any(
                (expected or "election connection of") in server.log() for server in (cluster[2], cluster[3])))
            check(None, stranger.mode(), "the stranger serves")
        except BaseException:
            tell(cluster)
            raise
        finally:
            cluster.end()


def test_quorum_plain_is_blocked():
    cluster = ensemble(["ferrokeeper"] * 3, "blocked")
    try:
        with socket.create_connection(("127.0.0.1", cluster[1].election_port), 10) as plain:
            plain.sendall(b"\xff\xff\xff\xff\xff\xff\x00\x00" + b"\0" * 20)
            plain.settimeout(30)
            try:
                check(b"", plain.recv(1), "the port says nothing")
            except ConnectionError:
                pass
        eventually("a line in the log", lambda: "Blocked insecure connection attempt" in cluster[1].log())
    finally:
        cluster.end()


if __name__ == "__main__":
    # Servers of an ensemble are of this kind and of Java's in any case.
    run_tests({name: test for name, test in globals().items() if not (IS_JAVA and "quorum" in name)}, sys.argv[1:])
