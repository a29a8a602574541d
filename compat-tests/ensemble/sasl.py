"""Members and clients that authenticate by SASL (DIGEST-MD5), Ferrokeeper and Java together.

    sasl.py                     every check on every mix
    sasl.py --only rollout      one of CHECKS
    sasl.py --first             every check on one mix

Java's own client programs speak for clients."""

import argparse
import os
import re
import subprocess

import cluster as processes
import trees
from client import Session
from cluster import PATIENCE, Cluster, Failed, conclude, eventually, trial

MEMBER_PASSWORD, WRONG_PASSWORD, BOB_PASSWORD, SUPER_SASL_PASSWORD = "mEmbers", "wRong\\\"", "b o b", "aDmin"
SECRETS = [MEMBER_PASSWORD, WRONG_PASSWORD.replace("\\", ""), BOB_PASSWORD, SUPER_SASL_PASSWORD]
MODULE = "org.apache.zookeeper.server.auth.DigestLoginModule required"
ENABLED = {"quorum.auth.enableSasl": "true"}
LEARNERS = {**ENABLED, "quorum.auth.learnerRequireSasl": "true"}
REQUIRED = {**LEARNERS, "quorum.auth.serverRequireSasl": "true"}
CLIENTS = {"authProvider.1": "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"}
MIXES = [
    (["ferrokeeper", "java-3.9", "java-3.8"], ["java-3.9"]),
    (["java-3.9", "ferrokeeper", "java-3.8"], ["ferrokeeper"]),
    (["java-3.8", "ferrokeeper", "ferrokeeper"], ["ferrokeeper"]),
]


def jaas(path, password=MEMBER_PASSWORD):
    """A file with every section."""
    with open(path, "w") as file:
        file.write(f"""// of the ensemble
QuorumServer {{ {MODULE} user_member="{MEMBER_PASSWORD}"; }};
QuorumLearner {{ {MODULE} username="member" password="{password}"; }};
Server {{ {MODULE} user_bob="{BOB_PASSWORD}" user_super="{SUPER_SASL_PASSWORD}"; }};
Client {{ {MODULE} username="bob" password="{BOB_PASSWORD}"; }};
""")
    return path


class Server(processes.Server):
    """Has a JAAS file of its own; on the JVM, DIGEST-MD5 needs FIPS mode off."""

    password = MEMBER_PASSWORD

    def command(self):
        command = super().command()
        path = jaas(os.path.join(self.directory, "jaas.conf"), self.password)
        flags = [f"-Djava.security.auth.login.config={path}"]
        if self.kind == "ferrokeeper":
            return [command[0], *flags, *command[1:]]
        return [command[0], *flags, "-Dzookeeper.fips-mode=false", *command[1:]]


class Ensemble(Cluster):
    server = Server


def write(port, path, data):
    """A znode through one server, which then shows it."""
    session = Session(lambda: [port])
    session.connect()
    session.ensure(path, data)
    if session.get(path)[0] != data:
        raise Failed(f"{path} at port {port} is not what was written")
    session.close()


def all_write(it, name):
    for server in it.running():
        write(server.client_port, f"/{name}-{server.sid}", server.kind.encode())


def says(server, pattern):
    eventually(lambda: f"{server} says {pattern!r}; its log ends with\n{server.log()[-3000:]}",
               lambda: re.search(pattern, server.log()), 30)


def silent(it):
    """No log has a password."""
    for server in it:
        for name in os.listdir(server.directory):
            if name.startswith("log."):
                with open(os.path.join(server.directory, name), errors="replace") as file:
                    text = file.read()
                found = [secret for secret in SECRETS if secret in text]
                if found:
                    raise Failed(f"{server}: its log has the password {found[0]}")


def required(it):
    """All authenticate, and all roles serve; also after the leader has gone."""
    it.start()
    all_write(it, "one")
    leader = it.leader()
    says(leader, r"Successfully completed the authentication using SASL\. learner addr")
    for server in it:
        if server is not leader:
            says(server, r"Successfully completed the authentication using SASL\. server addr")
    leader.kill()
    it.wait_serving()
    all_write(it, "two")
    leader.start()
    it.wait_serving()
    it.wait_equal_zxid()
    trees.compare(it)


def wrong_password(it):
    """A member that does not know the password stays outside, and whoever refuses it says why."""
    stranger = it.participants()[0]
    stranger.password = WRONG_PASSWORD
    for server in it.participants()[1:]:
        server.start()
    it.wait_serving(*it.participants()[1:])
    stranger.start()
    for server in it.participants()[1:]:
        if server.kind == "ferrokeeper":
            says(server, r'user "member" gave a wrong password')
        else:
            says(server, r"Failed to authenticate using SASL|Exception handling connection")
    if stranger.kind == "ferrokeeper":
        says(stranger, r"SASL authentication against server addr .* failed")
    if stranger.mode() is not None:
        raise Failed(f"{stranger} is {stranger.mode()} without the password")
    stranger.kill()
    stranger.password = MEMBER_PASSWORD
    stranger.start()
    it.wait_serving(stranger)
    all_write(it, "after")


def silent_member(it):
    """A member that does not authenticate at all stays outside of those that require it."""
    stranger = it.participants()[0]
    for server in it.participants()[1:]:
        server.start()
    it.wait_serving(*it.participants()[1:])
    everyone, it.settings = it.settings, {k: v for k, v in it.settings.items() if not k.startswith("quorum.auth")}
    stranger.configure()
    stranger.start()
    for server in it.participants()[1:]:
        if server.kind == "ferrokeeper":
            says(server, r"Learner not trying to authenticate and authentication is required")
    if stranger.mode() is not None:
        raise Failed(f"{stranger} is {stranger.mode()} without authentication")
    stranger.kill()
    it.settings = everyone
    stranger.configure()
    stranger.start()
    it.wait_serving(stranger)


def rollout(it):
    """From no SASL to required SASL by rolling restarts; a session lives through it and its writes are kept."""
    base = dict(it.settings)
    it.start()
    session = Session(lambda: [server.client_port for server in it if server.process and not server.paused], 60_000)
    session.connect()
    session.ensure("/rollout")
    written = 0
    for step in (ENABLED, LEARNERS, REQUIRED):
        it.settings = {**base, **step}
        for server in it:
            server.stop()
            server.configure()
            server.start()
            it.wait_serving()
            for _ in range(5):
                session.ensure(f"/rollout/{written}")
                written += 1
    session.sync()
    found = len(session.children("/rollout"))
    if found != written:
        raise Failed(f"{found} of {written} znodes are left")
    session.close()
    it.wait_equal_zxid()
    trees.compare(it)


def java_client(it, server, flags, *commands):
    """What Java's command-line client prints for these commands."""
    classpath = os.environ["CLASSPATH_JAVA_3_9"]
    done = subprocess.run(
        ["java", *processes.TEST_JVM.split(), *flags, f"-Dlogback.configurationFile={it.logback}", "-cp", classpath,
         "org.apache.zookeeper.ZooKeeperMain", "-waitforconnection", "-timeout", "10000",
         "-server", f"127.0.0.1:{server.client_port}"],
        input="".join(f"{command}\n" for command in commands), capture_output=True, text=True, timeout=PATIENCE)
    return done.stdout + done.stderr


def clients(it):
    """Java's client with a user of the JAAS file, with another one's password, and as super."""
    it.start()
    for server in it:
        file = jaas(os.path.join(server.directory, "client.conf"))
        with open(file) as source:
            text = source.read()
        flags = [f"-Djava.security.auth.login.config={file}", "-Dzookeeper.fips-mode=false"]
        path = f"/bob-{server.sid}"
        told = java_client(it, server, flags, f"create {path} secret sasl:bob:cdrwa", f"get {path}", "whoami", "quit")
        if "\nsecret\n" not in told or not re.search(r"sasl: bob", told):
            raise Failed(f"{server}: bob is not served: {told[-3000:]}")
        plain = java_client(it, server, ["-Dzookeeper.sasl.client=false"], f"get {path}", "quit")
        if "Insufficient permission" not in plain and "NoAuth" not in plain:
            raise Failed(f"{server}: somebody else may read bob's znode: {plain[-3000:]}")
        with open(file, "w") as target:
            target.write(text.replace('username="bob"', 'username="super"')
                         .replace(f'password="{BOB_PASSWORD}"', f'password="{SUPER_SASL_PASSWORD}"'))
        told = java_client(it, server, flags, f"get {path}", f"delete {path}", f"stat {path}", "quit")
        if "\nsecret\n" not in told or "Node does not exist" not in told and "NoNode" not in told:
            raise Failed(f"{server}: super may not do everything: {told[-3000:]}")
        with open(file, "w") as target:
            target.write(text.replace(f'password="{BOB_PASSWORD}"', f'password="{WRONG_PASSWORD}"'))
        told = java_client(it, server, flags, "whoami", "quit")
        if "AUTH_FAILED" not in told and "AuthFailed" not in told:
            raise Failed(f"{server}: a wrong password is let in: {told[-3000:]}")
        if server.kind == "ferrokeeper":
            says(server, r'failed to SASL authenticate: user "bob" gave a wrong password')


CHECKS = {
    "required": (required, REQUIRED, MIXES),
    "wrong_password": (wrong_password, REQUIRED, [
        (["ferrokeeper", "java-3.9", "ferrokeeper"], []), (["java-3.9", "ferrokeeper", "java-3.8"], [])]),
    "silent_member": (silent_member, REQUIRED, [
        (["ferrokeeper", "java-3.9", "java-3.9"], []), (["java-3.9", "ferrokeeper", "ferrokeeper"], [])]),
    "rollout": (rollout, {}, [(["ferrokeeper", "java-3.9", "java-3.8"], [])]),
    "clients": (clients, CLIENTS, [(["ferrokeeper"], []), (["java-3.9", "ferrokeeper", "ferrokeeper"], [])]),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=CHECKS, action="append")
    parser.add_argument("--first", action="store_true", help="only the first mix of each check")
    options = parser.parse_args()
    outcomes = []
    for name in options.only or CHECKS:
        check, settings, mixes = CHECKS[name]
        mixes = mixes[:1] if options.first else mixes
        for number, (kinds, observers) in enumerate(mixes):
            title = f"{name} {','.join(kinds)} {','.join(observers)}".strip()
            directory = os.path.join(os.environ["WORK"], f"{name}{number}")
            it = Ensemble(directory, kinds, observers, settings)
            outcomes.append(trial(title, it, check, silent))
    conclude(outcomes)


if __name__ == "__main__":
    main()
