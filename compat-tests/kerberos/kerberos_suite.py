"""Kerberos for clients, against the server that SERVER names. Each function whose name begins with test_ is a test;
arguments choose some of them."""

import os
import re
import subprocess
import sys
import time

import wire
from alone import CLASSPATH, IS_JAVA, WORK, Alone, check, run_tests
from cluster import LOGBACK, TEST_JVM, Failed, ask, eventually
from kdc import REALM, Kdc
from ports import free_port

MODULE = "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true useTicketCache=false"
PROVIDER = {"authProvider.1": "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"}
SERVICE = "zookeeper/localhost"
AUTH_FAILED, CLOSED_REQUIRE_SASL, NO_AUTH = -115, -124, -102
SASL, WHO_AM_I = 102, 107
NO_LAYER, INTEGRITY, PRIVACY = b"\x01\0\0\0", b"\x02\0\0\0", b"\x04\0\0\0"

kdc = None
keytabs = {}


def realm():
    """The KDC, with everybody in it."""
    global kdc
    kdc = Kdc(os.path.join(WORK, "kdc"))
    # Read by MIT's library once it is loaded.
    os.environ["KRB5_CONFIG"] = kdc.conf
    keytabs["server"] = kdc.keytab("server", SERVICE)
    keytabs["users"] = kdc.keytab("users", "alice", "bob", "kafka/broker1", "admin", SERVICE.replace("localhost", "other"))
    kdc.start()


class Server(Alone):
    def __init__(self, *flags, keytab=None, principal=f"{SERVICE}@{REALM}", krb5_conf=None, more_jaas="", starts=True,
                 **settings):
        super().__init__()
        self.port = free_port()
        lines = {
            "dataDir": os.path.join(self.directory, "data"), "clientPort": self.port, "clientPortAddress": "127.0.0.1",
            "admin.enableServer": "false", "4lw.commands.whitelist": "*", **PROVIDER,
            **{key.replace("__", "."): value for key, value in settings.items()},
        }
        jaas = self.write("jaas.conf", f'Server {{ {MODULE} keyTab="{keytab or keytabs["server"]}" '
                                       f'principal="{principal}"; {more_jaas} }};\n')
        self.run(lines, f"-Djava.security.auth.login.config={jaas}", f"-Djava.security.krb5.conf={krb5_conf or kdc.conf}", *flags)
        if starts:
            eventually(lambda: f"a server that serves: {self.log()[-3000:]}",
                       lambda: "Mode:" in (ask(self.port, "srvr") or "") or self.process.poll() is not None)

    def says(self, pattern):
        """What Ferrokeeper tells of a refusal; Java's own lines are its own."""
        if not IS_JAVA:
            eventually(lambda: f"the server says {pattern!r}: {self.log()[-3000:]}",
                       lambda: re.search(pattern, self.log()))


# -- clients --

def java_client(port, user, *commands, flags=()):
    """What Java's command line client prints for these commands; without a user it does not authenticate."""
    directory = os.path.join(WORK, "java-client")
    os.makedirs(directory, exist_ok=True)
    jaas = os.path.join(directory, "jaas.conf")
    with open(jaas, "w") as file:
        file.write(f'Client {{ {MODULE} keyTab="{keytabs["users"]}" principal="{user}@{REALM}"; }};\n')
    logback = os.path.join(directory, "logback.xml")
    with open(logback, "w") as file:
        file.write(LOGBACK.replace("INFO", "ERROR"))
    login = [f"-Djava.security.auth.login.config={jaas}", f"-Djava.security.krb5.conf={kdc.conf}",
             "-Dzookeeper.sasl.client.canonicalize.hostname=false"]
    done = subprocess.run(
        ["java", *TEST_JVM.split(), *(login if user else ["-Dzookeeper.sasl.client=false"]), *flags,
         f"-Dlogback.configurationFile={logback}", "-cp", CLASSPATH, "org.apache.zookeeper.ZooKeeperMain",
         "-waitforconnection", "-timeout", "20000", "-server", f"localhost:{port}"],
        input="".join(f"{command}\n" for command in [*commands, "quit"]), capture_output=True, text=True, timeout=90)
    return done.stdout + done.stderr


def context(user, host="localhost", mutual=False):
    """A context of MIT's library for this user, with a ticket that is new."""
    import gssapi
    store = {"client_keytab": keytabs["users"], "ccache": f"MEMORY:{user}-{time.monotonic_ns()}"}
    name = gssapi.Name(f"{user}@{REALM}", gssapi.NameType.kerberos_principal)
    credentials = gssapi.Credentials(name=name, usage="initiate", store=store)
    flags = gssapi.RequirementFlag.integrity | gssapi.RequirementFlag.confidentiality
    if mutual:
        flags |= gssapi.RequirementFlag.mutual_authentication
    service = gssapi.Name(f"zookeeper@{host}", gssapi.NameType.hostbased_service)
    mechanism = gssapi.MechType.kerberos
    return gssapi.SecurityContext(name=service, creds=credentials, flags=flags, mech=mechanism, usage="initiate")


class Connection(wire.Connection):
    """Tokens by hand."""

    def __init__(self, port):
        super().__init__(port, timeout_ms=30_000)

    def sasl(self, token):
        """(error, token of the server)"""
        self.last_zxid = 0
        error, reply = self.call(SASL, wire.blob(token))
        return error, reply.blob()

    def is_closed(self):
        try:
            self.frame()
        except wire.Lost:
            return True
        return False

    def ids(self):
        error, reply = self.call(WHO_AM_I)
        check(0, error, "whoAmI")
        ids = [(reply.text(), reply.text()) for _ in range(reply.take(">i"))]
        return sorted(f"{scheme}:{user}" for scheme, user in ids if scheme != "ip")

    def login(self, context, choice=NO_LAYER, sealed=False):
        """The whole exchange: the error it ends with."""
        error, token = self.sasl(context.step())
        if error or token is None:
            return error
        if not context.complete:
            check(None, context.step(token) or None, "a second token of the client")
            error, token = self.sasl(b"")
        offer = context.unwrap(token)
        check(NO_LAYER[:1] + b"\x01\0\0", offer.message, "the offer")
        error, token = self.sasl(context.wrap(choice, sealed).message)
        if not error:
            check(None, token, "the last token")
        return error


def ids(port, user, **options):
    """As whom the user is known who logs in with everything as it should be."""
    connection = Connection(port)
    check(0, connection.login(context(user), **options), f"{user} logs in")
    found = connection.ids()
    connection.socket.close()
    return found


def refused(port, token, error=AUTH_FAILED):
    """A first token that is not believed: told, and closed."""
    connection = Connection(port)
    check((error, None), connection.sasl(token))
    check(True, connection.is_closed(), "the connection is closed")


def kazoo(port, user, **options):
    from kazoo.client import KazooClient
    cache = f"FILE:{WORK}/cache-{user.replace('/', '-')}"
    environment = {**os.environ, "KRB5_CONFIG": kdc.conf}
    subprocess.run(["kinit", "-c", cache, "-k", "-t", keytabs["users"], f"{user}@{REALM}"], env=environment, check=True,
                   capture_output=True, timeout=60)
    os.environ["KRB5CCNAME"] = cache
    client = KazooClient(f"localhost:{port}", sasl_options={"mechanism": "GSSAPI", "service": "zookeeper"},
                         connection_retry={"max_tries": 1, "delay": 0.01}, **options)
    client.start(60)
    return client


# -- tests --

def test_java_client():
    alice = f"alice@{REALM}"
    with Server() as server:
        told = java_client(server.port, "alice", f"create /a secret sasl:{alice}:cdrwa", "get /a", "whoami")
        check(True, "\nsecret\n" in told and f"sasl: {alice}" in told, told)
        told = java_client(server.port, "kafka/broker1", "get /a", "whoami")
        check(True, f"sasl: kafka/broker1@{REALM}" in told and "Insufficient permission" in told, told)
        told = java_client(server.port, None, "get /a")
        check(True, "Insufficient permission" in told, told)
        log = server.log()
        for line in (f"Successfully authenticated client: authenticationID={alice};  authorizationID={alice}.",
                     f"Setting authorizedID: {alice}",
                     f"adding SASL authorization for authorizationID: {alice}"):
            check(True, line in log, line)


def test_kazoo():
    from kazoo.exceptions import NoAuthError
    from kazoo.security import ACL, CREATOR_ALL_ACL, Id, Permissions
    with Server() as server:
        alice, bob = kazoo(server.port, "alice"), kazoo(server.port, "bob")
        alice.create("/alices", b"mine", acl=CREATOR_ALL_ACL)
        check([ACL(Permissions.ALL, Id("sasl", f"alice@{REALM}"))], alice.get_acls("/alices")[0])
        check(b"mine", alice.get("/alices")[0])
        try:
            bob.get("/alices")
            raise Failed("bob may read what is alice's")
        except NoAuthError:
            pass
        for client in (alice, bob):
            client.stop()
            client.close()


def test_tokens():
    with Server(superUser=f"admin@{REALM}") as server:
        check([f"sasl:alice@{REALM}"], ids(server.port, "alice"))
        check([f"sasl:kafka/broker1@{REALM}"], ids(server.port, "kafka/broker1"))
        # As whom a client wants to act does not count; that what it says is sealed does no harm.
        check([f"sasl:alice@{REALM}"], ids(server.port, "alice", choice=NO_LAYER + b"admin@" + REALM.encode()))
        check([f"sasl:alice@{REALM}"], ids(server.port, "alice", sealed=True))
        check([f"sasl:admin@{REALM}", "super:"], ids(server.port, "admin"))
        mutual = Connection(server.port)
        check(0, mutual.login(context("bob", mutual=True)), "with a proof of the server")
        check([f"sasl:bob@{REALM}"], mutual.ids())
        for choice in (INTEGRITY, PRIVACY, b"\0\0\0\0"):
            connection = Connection(server.port)
            check(AUTH_FAILED, connection.login(context("alice"), choice=choice), f"a layer {choice}")
            check(True, connection.is_closed(), "the connection is closed")
        server.says("did not choose what was offered")
        # What is said twice, or by somebody else, is not believed.
        connection, alice = Connection(server.port), context("alice")
        _, token = connection.sasl(alice.step())
        alice.unwrap(token)
        other = context("alice")
        other.step()
        check((AUTH_FAILED, None), connection.sasl(other.wrap(NO_LAYER, False).message))
        connection, alice = Connection(server.port), context("alice")
        connection.sasl(alice.step())
        damaged = bytearray(alice.wrap(NO_LAYER, False).message)
        damaged[16] ^= 2
        check((AUTH_FAILED, None), connection.sasl(bytes(damaged)))


def test_bad_tokens():
    with Server() as server:
        good = context("alice").step()
        for token in (b"", b"x", good[1:], good[:-1], b"charset=utf-8,username=\"alice\"",
                      good[:40] + b"\xff\xff\xff\xff" + good[44:]):
            refused(server.port, token)
        for at in (len(good) - 1, len(good) // 2, 20):
            damaged = bytearray(good)
            damaged[at] ^= 1
            refused(server.port, bytes(damaged))
        server.says("may have tried DIGEST-MD5")
        # None of it was taken for a proof that was shown.
        connection = Connection(server.port)
        error, _ = connection.sasl(good)
        check(0, error, "the token that is not damaged")
        silent = Connection(server.port)
        silent.write(b"\0\0\0\x01\0\0\0\x66\xff\xff\xff\xff")
        check(True, silent.is_closed(), "a null token")


def test_replay():
    with Server() as server:
        token = context("alice").step()
        error, _ = Connection(server.port).sasl(token)
        check(0, error)
        refused(server.port, token)
        server.says(f"this proof of alice@{REALM} was shown before")
        check([f"sasl:alice@{REALM}"], ids(server.port, "alice"))


def test_other_service():
    """A ticket that is right, but for another server."""
    with Server() as server:
        refused(server.port, context("alice", host="other").step())
        server.says(f"the ticket is for zookeeper/other@{REALM}, and this server is {SERVICE}@{REALM}")


def test_new_keys():
    """The KDC has newer keys than the server; then the server's file has them as well, and those from before."""
    path = kdc.keytab("renewed", "zookeeper/renewed")
    old = os.path.join(WORK, "old.keytab")
    with open(path, "rb") as source, open(old, "wb") as target:
        target.write(source.read())
    with Server(keytab=old, principal=f"zookeeper/renewed@{REALM}") as server:
        before = context("alice", host="renewed")
        check(0, Connection(server.port).login(context("alice", host="renewed")))
        before_token = before.step()
        kdc.keytab("renewed", "zookeeper/renewed")
        refused(server.port, context("alice", host="renewed").step())
        server.says(f"the keytab has no key of zookeeper/renewed@{REALM} for aes256-cts-hmac-sha1-96 with version 3; it has")
        os.replace(path, old)
        check(0, Connection(server.port).login(context("alice", host="renewed")), "with the new keys")
        error, _ = Connection(server.port).sasl(before_token)
        check(0, error, "a ticket from before")


def test_enctypes():
    for enctype in ("aes128-cts", "aes256-cts", "aes128-sha2", "aes256-sha2"):
        name = f"zookeeper/{enctype}"
        keytab = kdc.keytab(enctype, name, enctypes=f"{enctype}:normal")
        with Server(keytab=keytab, principal=f"{name}@{REALM}") as server:
            for mutual in (False, True):
                connection = Connection(server.port)
                check(0, connection.login(context("alice", host=enctype, mutual=mutual)), enctype)
                check([f"sasl:alice@{REALM}"], connection.ids())
            if enctype == "aes256-sha2":
                told = java_client(server.port, "alice", "whoami", flags=[f"-Dzookeeper.server.principal={name}@{REALM}"])
                check(True, f"sasl: alice@{REALM}" in told, told)


def test_out_of_date():
    """A ticket is shown when it has expired, and a proof when its time has passed."""
    conf = kdc.write("strict.conf", kdc.client_conf(clockskew=1))
    kdc.admin("addprinc -randkey -maxlife 5s zookeeper/brief")
    brief = kdc.keytab("brief", "zookeeper/brief")
    with Server(keytab=brief, principal=f"zookeeper/brief@{REALM}", krb5_conf=conf) as strict, \
            Server(krb5_conf=conf) as other:
        expired, late = context("alice", host="brief").step(), context("alice").step()
        time.sleep(7.5)
        refused(strict.port, expired)
        strict.says(f"the ticket of alice@{REALM} expired [1-9][0-9]* s ago")
        refused(other.port, late)
        other.says(f"the clock of alice@{REALM} differs by -[1-9][0-9]* s")


def test_names():
    for flags, alice, kafka in (
            (["-Dzookeeper.kerberos.removeRealmFromPrincipal=true"], "alice", "kafka/broker1"),
            (["-Dzookeeper.kerberos.removeHostFromPrincipal=true"], f"alice@{REALM}", f"kafka@{REALM}"),
            (["-Dzookeeper.kerberos.removeRealmFromPrincipal=true", "-Dzookeeper.kerberos.removeHostFromPrincipal=true",
              "-Dzookeeper.security.auth_to_local=RULE:[2:$1;$2](kafka;.*)s/;broker([0-9]+)/-$1/ DEFAULT"],
             "alice", "kafka-1")):
        with Server(*flags) as server:
            check([f"sasl:{alice}"], ids(server.port, "alice"))
            check([f"sasl:{kafka}"], ids(server.port, "kafka/broker1"))
            if kafka == "kafka-1":
                told = java_client(server.port, "alice", "create /a secret sasl:alice:cdrwa", "get /a")
                check(True, "\nsecret\n" in told, told)


def test_required():
    for settings in ({"sessionRequireClientSASLAuth": "true"},
                     {"enforce__auth__enabled": "true", "enforce__auth__schemes": "sasl"}):
        with Server(**settings, allowSaslFailedClients="true") as server:
            check([f"sasl:alice@{REALM}"], ids(server.port, "alice"))
            refused(server.port, context("alice", host="other").step(), CLOSED_REQUIRE_SASL)
            silent = Connection(server.port)
            check(CLOSED_REQUIRE_SASL, silent.call(wire.EXISTS, wire.text("/") + b"\0")[0])
            check(True, silent.is_closed(), "the connection is closed")


def test_allowed_to_fail():
    with Server(allowSaslFailedClients="true") as server:
        connection = Connection(server.port)
        check((0, None), connection.sasl(context("alice", host="other").step()))
        check([], connection.ids())
        check([f"sasl:alice@{REALM}"], ids(server.port, "alice"))


def test_accounts_beside_it():
    """With Kerberos, accounts have no effect: as on the JVM, clients do not say which mechanism they use."""
    accounts = 'org.apache.zookeeper.server.auth.DigestLoginModule required user_bob="b";'
    with Server(more_jaas=accounts) as server:
        check([f"sasl:alice@{REALM}"], ids(server.port, "alice"))
        refused(server.port, b"")
        server.says("the accounts beside it have no effect")


def test_unusable_keytabs():
    """The server does not start."""
    for principal, keytab, expected in (
            (f"zookeeper/nobody@{REALM}", None, f"no AES key of zookeeper/nobody@{REALM}; it has {SERVICE}@{REALM}"),
            (f"{SERVICE}@{REALM}", os.path.join(WORK, "nowhere"), "cannot be read")):
        with Server(principal=principal, keytab=keytab, starts=False) as server:
            status = server.process.wait(60)
            check(True, status != 0, f"a status other than {status}")
            server.says(expected)


if __name__ == "__main__":
    realm()
    run_tests(globals(), sys.argv[1:])
