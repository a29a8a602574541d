"""Every CVE of ZooKeeper's own list (https://zookeeper.apache.org/security.html): a test each that shows that it does not
apply here, by doing what it is about. Those of libraries that ZooKeeper ships, and this server has not got, are in a table
with the reason. A new one belongs into one of the two."""

import os
import ssl
import socket
import struct
import subprocess

import calls
import digest_md5
import peers
from calls import ALL, NOBODY, OPEN, READ, Caller, acl, digest_of, superuser
from client import CREATED, DATA_CHANGED, DELETED
from digest_md5 import dial, exactly
from stores import STORES, certificate
from ports import free_ports
from servers import GIVE_UP_S
from trials import WORK, Tally, start, start_member

MEMBER_PASSWORD, ROOT_PASSWORD = "mEmber55", "rOot66"
SECRETS = [MEMBER_PASSWORD, ROOT_PASSWORD, "hunter2", "D/InIHSb7yEEbrWz8b9l71RjZJU"]
MODULE = "org.apache.zookeeper.server.auth.DigestLoginModule required"
SASL = ["quorum.auth.enableSasl=true", "quorum.auth.learnerRequireSasl=true", "quorum.auth.serverRequireSasl=true"]

# Where the code that a report is about has no counterpart here.
NOT_OURS = {
    "log4j 1 (configurations that load classes, sockets, JMS, SMTP, JDBC)": (
        "CVE-2019-17571 CVE-2020-9488 CVE-2021-4104 CVE-2022-23302 CVE-2022-23305 CVE-2022-23307",
        "lines are written to stderr by the server itself; no configuration of logging is read, nothing in a message is "
        "looked up or loaded"),
    "log4j 2": ("CVE-2021-44228 CVE-2021-44832 CVE-2021-45046 CVE-2021-45105", "as log4j 1; ZooKeeper never shipped it either"),
    "logback": ("CVE-2021-42550 CVE-2023-6378 CVE-2023-6481 CVE-2024-12798 CVE-2024-12801 CVE-2025-11226 CVE-2026-1225",
                "as log4j 1; logback.xml is not read, and no log events are taken from a network"),
    "slf4j-ext": ("CVE-2018-8088", "there is no Java object to be read from a log event"),
    "Netty (HTTP, SPDY, SNI and Snappy codecs, temporary files)": (
        "CVE-2014-3488 CVE-2015-2156 CVE-2019-16869 CVE-2019-20444 CVE-2019-20445 CVE-2020-11612 CVE-2021-21290 "
        "CVE-2021-21295 CVE-2021-21409 CVE-2021-37136 CVE-2021-37137 CVE-2021-43797 CVE-2022-24823 CVE-2022-41881 "
        "CVE-2022-41915 CVE-2023-34462 CVE-2023-44487 CVE-2024-29025 CVE-2024-47535 CVE-2025-24970 CVE-2025-25193 "
        "CVE-2025-55163 CVE-2025-58056 CVE-2025-58057 CVE-2026-42583",
        "sockets are tokio's and TLS is rustls; there is no codec but the one of frames; HTTP/2 is not spoken; `malformed` "
        "sends rubbish before, in and instead of the handshake"),
    "Jetty": (
        "CVE-2018-12536 CVE-2019-10241 CVE-2019-10246 CVE-2019-10247 CVE-2020-27216 CVE-2020-27223 CVE-2021-28163 "
        "CVE-2021-28164 CVE-2021-28165 CVE-2021-28169 CVE-2021-34428 CVE-2021-34429 CVE-2022-2047 CVE-2022-2048 "
        "CVE-2023-26048 CVE-2023-26049 CVE-2023-36478 CVE-2023-36479 CVE-2023-40167 CVE-2023-41900 CVE-2024-6763 "
        "CVE-2024-8184 CVE-2024-13009 CVE-2026-2332",
        "HTTP is `net::http`: version 1 alone, no files, sessions, cookies, multipart bodies or CGI; the path is compared as "
        "a whole; a body's length is told once or the request is refused, which smuggling() tries"),
    "jackson-databind, jackson-core": (
        "CVE-2017-7525 CVE-2019-12086 CVE-2019-14540 CVE-2019-16335 CVE-2020-25649 CVE-2020-36518 CVE-2022-42003 "
        "CVE-2022-42004 CVE-2025-52999 CVE-2026-54512 CVE-2026-54513",
        "JSON is written, not read"),
    "snappy-java": ("CVE-2023-34453 CVE-2023-34454 CVE-2023-34455 CVE-2023-43642",
                    "snapshots are not compressed with Snappy; a length that a stranger sent reserves nothing, which "
                    "`malformed` watches"),
    "commons-io, commons-cli, json-simple, jline, netty-tcnative, the JDK": (
        "CVE-2021-29425 CVE-2024-47554 CVE-2018-12056 CVE-2013-2035", "there is no JVM and none of its libraries"),
    "Prometheus (the server, not the client)": ("CVE-2019-3826", "the collecting server is not a part of this one"),
    "C client's shell (batch mode, a copy into a buffer of fixed size)": (
        "CVE-2016-5017", "there is no C program; cve_2016_5017() gives the shell that there is more than that"),
}


def secrets_in(server):
    log = server.log()
    return [secret for secret in SECRETS if secret in log]


def jaas(name):
    path = os.path.join(WORK, name + ".jaas")
    with open(path, "w") as out:
        out.write(f"""QuorumServer {{ {MODULE} user_member="{MEMBER_PASSWORD}" user_other="{ROOT_PASSWORD}"; }};
QuorumLearner {{ {MODULE} username="member" password="{MEMBER_PASSWORD}"; }};
Server {{ {MODULE} user_super="{ROOT_PASSWORD}"; }};
""")
    return f"-Djava.security.auth.login.config={path}"


def authenticated_member(name):
    """An ensemble's member that lets nobody in without a proof; an observer is missing."""
    ports = free_ports(3)
    observer = f"server.2=127.0.0.1:{ports[0]}:{ports[1]}:observer;127.0.0.1:{ports[2]}"
    return start_member(name, observer, *SASL, flags=[jaas(name)])


def cve_2014_0085():
    """Passwords in the log."""
    os.environ["RUST_LOG"] = "trace"
    try:
        lines = ["authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider", *SASL,
                 "ssl.quorum.keyStore.password=hunter2", "ssl.trustStore.password=hunter2",
                 f"SASLAuthenticationProvider.superPassword={ROOT_PASSWORD}"]
        with start_member("passwords", *lines, flags=[jaas("passwords"), "-Dzookeeper.ssl.keyStore.password=hunter2"]) as server:
            root = Caller(server.port, "super:test", f"alice:{ROOT_PASSWORD}", "bob:hunter2")
            root.do("create", calls.create("/x", acl((ALL, "auth", "")), data=b"hunter2"))
            root.do("setData", calls.set_data("/x", b"hunter2"))
            for command in ("conf", "environment", "system_properties", "initial_configuration"):
                told = server.get("/commands/" + command).body.decode()
                assert not [secret for secret in SECRETS if secret in told], command
            for authorization in (f"digest alice:{ROOT_PASSWORD}", "digest bob:hunter2"):
                server.get("/commands/snapshot", authorization=authorization)
                server.get("/dashboard/api/node?path=/x", authorization=authorization)
            with dial(server.quorum_port) as sock:
                assert digest_md5.authenticate(sock, "member", MEMBER_PASSWORD)
            assert not secrets_in(server), secrets_in(server)
    finally:
        del os.environ["RUST_LOG"]


def cve_2016_5017():
    """A long command given to the shell overflows a buffer."""
    with start("shell") as server:
        for length in (1024, 4096, 100_000):
            for command in (["create", "/" + "a" * length, "x"], ["a" * length], ["get", "/", "-" + "s" * length]):
                done = subprocess.run([os.environ["FERROKEEPER"], "cli", "-server", f"127.0.0.1:{server.port}", *command],
                                      capture_output=True, timeout=GIVE_UP_S, check=False)
                assert done.returncode >= 0, (command[0][:20], length, done.returncode)
                assert b"panicked" not in done.stderr, done.stderr[-500:]
        fed = b"cmd:" + b"a" * 100_000 + b"\ncreate /ok x\nquit\n"
        done = subprocess.run([os.environ["FERROKEEPER"], "cli", "-server", f"127.0.0.1:{server.port}"], input=fed,
                              capture_output=True, timeout=GIVE_UP_S, check=False)
        assert done.returncode >= 0 and b"panicked" not in done.stderr, done.stderr[-500:]
        assert superuser(server.port).ask("exists", calls.watched("/ok"))[0] == 0


def cve_2017_5637():
    """wchp and wchc, expensive where there are many watches, asked for by anybody."""
    with start("words", "4lw.commands.whitelist=srvr") as server:
        for word in ("wchp", "wchc", "wchs", "dump", "cons"):
            assert server.word(word) == f"{word} is not executed because it is not in the whitelist.\n", word
    with start("many-watches") as server:
        watching = superuser(server.port)
        paths = [f"/not-there/{at:06}/{'x' * 40}" for at in range(20_000)]
        for at in range(0, len(paths), 1000):
            watching.do("setWatches", struct.pack(">q", 0) + calls.strings([]) + calls.strings(paths[at:at + 1000]) + calls.strings([]))
        before = server.memory_kib()
        askers = []
        for _ in range(40):
            for word in (b"wchp", b"wchc"):
                sock = socket.create_connection(("127.0.0.1", server.port), GIVE_UP_S)
                sock.sendall(word)
                askers.append(sock)
        # Nobody reads the answers, and others are served all the same.
        for at in range(200):
            watching.do("create", calls.create(f"/n{at}"))
            assert watching.ask("getData", calls.watched(f"/n{at}"))[0] == 0
        grown = server.memory_kib() - before
        for sock in askers:
            sock.close()
        assert grown < 512 << 10, f"{grown} KiB for {len(askers)} words that nobody reads"
        assert server.word("wchp").count("\n") == 2 * len(paths) + 1


def learner_is_heard(port, *who):
    """Whether the leader answers a learner's first packet, after this proof."""
    with dial(port) as sock:
        if who and not digest_md5.authenticate(sock, *who):
            return False
        try:
            sock.sendall(peers.introduction(2, kind=peers.OBSERVER_INFO))
        except ConnectionError:
            return False
        head = exactly(sock, 4)
        return head is not None and struct.unpack(">i", head)[0] == peers.LEADER_INFO


def voter_is_heard(port, *who):
    """Whether a server answers a notification, after this proof."""
    with dial(port) as sock:
        sock.sendall(peers.greeting(2, "127.0.0.1:1"))
        if who and not digest_md5.authenticate(sock, *who):
            return False
        try:
            sock.sendall(peers.notification(peers.LOOKING, 2))
        except ConnectionError:
            return False
        return exactly(sock, 4) is not None


def cve_2018_8012():
    """Whoever reaches the ports of an ensemble joins it without a proof."""
    with authenticated_member("join") as server:
        for port, is_heard in ((server.quorum_port, learner_is_heard), (server.election_port, voter_is_heard)):
            assert not is_heard(port), f"{is_heard.__name__}: without a proof"
            assert not is_heard(port, "member", "wrong"), f"{is_heard.__name__}: with a wrong password"
            assert is_heard(port, "member", MEMBER_PASSWORD), f"{is_heard.__name__}: with the right one"
        assert superuser(server.port).ask("create", calls.create("/still-here"))[0] == 0


def cve_2019_0201():
    """getACL tells the hash of a password to who may only read, or not even that."""
    with start("getacl") as server:
        root = superuser(server.port)
        owner = (ALL, "digest", digest_of("alice:secret"))
        root.do("create", calls.create("/readable", acl(owner, (READ, "world", "anyone"))))
        root.do("create", calls.create("/closed", acl(owner)))
        anybody = Caller(server.port)
        hash_ = digest_of("alice:secret").split(":")[1].encode()
        assert hash_ not in anybody.do("getACL", calls.text("/readable")).data
        error, reply = anybody.ask("getACL", calls.text("/closed"))
        assert error == calls.NO_AUTH and len(reply.data) == 16
        for path in ("/readable", "/closed"):
            assert hash_ in Caller(server.port, "alice:secret").do("getACL", calls.text(path)).data
            # Nor by the page that shows nodes.
            assert hash_ not in server.get("/dashboard/api/node?path=" + path, authorization="ip").body


def cve_2023_44981():
    """Who is known may act as somebody else, or as nobody in particular (an id without a host, in Kerberos' case, is not
    compared with the members at all)."""
    with authenticated_member("act-as") as server:
        for port, is_heard in ((server.quorum_port, learner_is_heard), (server.election_port, voter_is_heard)):
            assert is_heard(port, "member", MEMBER_PASSWORD, "member")
            for who in [("member", MEMBER_PASSWORD, "eve@EXAMPLE.COM"), ("member", MEMBER_PASSWORD, "other"),
                        ("other", ROOT_PASSWORD, "member"), ("eve@EXAMPLE.COM", ""), ("eve@EXAMPLE.COM", MEMBER_PASSWORD),
                        ("", ""), ("member", ""), ("MEMBER", MEMBER_PASSWORD)]:
                assert not is_heard(port, *who), (is_heard.__name__, who)


def cve_2024_23944():
    """A persistent watch tells of nodes that its owner may not read."""
    with start("persistent") as server:
        root, eve = superuser(server.port), Caller(server.port)
        root.do("create", calls.create("/secret", NOBODY))
        for path in ("/secret", "/secret/plan", "/"):
            for mode in (calls.PERSISTENT, calls.RECURSIVE):
                eve.do("addWatch", calls.numbered(path, mode))
        root.do("create", calls.create("/secret/plan", NOBODY))
        root.do("setData", calls.set_data("/secret/plan"))
        root.do("create", calls.create("/secret/plan/b", NOBODY))
        root.do("delete", calls.versioned("/secret/plan/b"))
        root.do("delete", calls.versioned("/secret/plan"))
        assert eve.take_events() == []
        root.do("create", calls.create("/seen", OPEN))
        root.do("setData", calls.set_data("/seen"))
        root.do("delete", calls.versioned("/seen"))
        told = [event for event in eve.take_events() if event[1] == "/seen"]
        assert told == [(CREATED, "/seen"), (DATA_CHANGED, "/seen"), (DELETED, "/seen")], told


def cve_2024_51504():
    """A header makes the AdminServer take anybody for an address that may."""
    trusted = acl((ALL, "ip", "10.1.2.3"))
    names = ("X-Forwarded-For", "X-Real-IP", "X-Remote-IP", "X-Originating-IP", "Client-IP", "True-Client-IP", "CF-Connecting-IP",
             "Proxy-Client-IP", "WL-Proxy-Client-IP", "HTTP_CLIENT_IP", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED", "HTTP_FORWARDED_FOR",
             "HTTP_FORWARDED", "HTTP_VIA", "REMOTE_ADDR", "Forwarded")
    with start("forwarded") as server:
        superuser(server.port).do("setACL", calls.set_acl("/", trusted))
        for name in names:
            for value in ("10.1.2.3", "for=10.1.2.3", "10.1.2.3, 127.0.0.1", "127.0.0.1, 10.1.2.3"):
                headers = {"Authorization": "ip", name: value}
                answer = server.request("GET", "/commands/snapshot", None, headers)
                assert answer.status == 403, (name, value, answer.status)
                answer = server.request("GET", "/dashboard/api/transactions", None, headers)
                assert answer.json()["shows_paths"] is False, (name, value)
    with start("forwarding", "IPAuthenticationProvider.usexforwardedfor=true") as server:
        superuser(server.port).do("setACL", calls.set_acl("/", trusted))
        # A proxy adds whom it hears to the end: what a stranger wrote before that is nothing.
        for value, status in (("10.1.2.3, 10.9.9.9", 403), ("10.9.9.9, 10.1.2.3", 200)):
            headers = {"Authorization": "ip", "X-Forwarded-For": value}
            assert server.request("GET", "/commands/snapshot", None, headers).status == status, value


def cve_2025_58457():
    """snapshot and restore for who has some right on the root, and not all of them. The suite `routes` has the rest."""
    with start("root-rights") as server:
        copy = server.get("/commands/snapshot", authorization="digest alice:secret").body
        root = superuser(server.port)
        for rights in range(ALL):
            root.do("setACL", calls.set_acl("/", acl((rights, "digest", digest_of("alice:secret")))))
            headers = {"Authorization": "digest alice:secret"}
            for method, command, body in (("GET", "snapshot", None), ("POST", "restore", copy)):
                assert server.request(method, "/commands/" + command, body, headers).status == 403, (command, rights)
        root.do("setACL", calls.set_acl("/", acl((ALL, "digest", digest_of("alice:secret")))))
        assert server.get("/commands/snapshot", authorization="digest alice:secret").status == 200


def is_let_in(port, store):
    context = ssl.create_default_context(cafile=os.path.join(STORES, "ca.pem"))
    context.check_hostname = False
    context.load_cert_chain(store)
    try:
        with socket.create_connection(("127.0.0.1", port), GIVE_UP_S) as plain, context.wrap_socket(plain) as secure:
            secure.sendall(b"ruok")
            return secure.recv(100) == b"imok"
    except (ssl.SSLError, ConnectionError):
        return False


def cve_2026_24281():
    """A certificate that is not for an address is taken all the same, if the DNS says that the address has its name."""
    own = certificate("server", "IP:127.0.0.1")
    by_name = certificate("by-name", f"DNS:{socket.gethostbyaddr('127.0.0.1')[0]}")
    for lookup, lets_in in (([], False), (["ssl.allowReverseDnsLookup=false"], False), (["ssl.allowReverseDnsLookup=true"], True)):
        [port] = free_ports(1)
        lines = [f"secureClientPort={port}", "secureClientPortAddress=127.0.0.1", f"ssl.keyStore.location={own}",
                 f"ssl.trustStore.location={STORES}/ca.pem", "ssl.clientHostnameVerification=true", "fips-mode=false", *lookup]
        with start(f"names{len(lookup)}{lets_in}", *lines) as server:
            assert is_let_in(port, own), server.log()[-1000:]
            assert is_let_in(port, by_name) == lets_in, (lookup, server.log()[-1000:])


def cve_2026_24308():
    """A client's log has the passwords of its configuration."""
    own = certificate("server", "IP:127.0.0.1")
    with start("client-log") as server:
        definitions = ["-Dzookeeper.ssl.keyStore.password=hunter2", "-Dzookeeper.ssl.trustStore.password=hunter2",
                       f"-Dzookeeper.ssl.keyStore.location={own}", "-Dzookeeper.superUser=hunter2"]
        for command in (["ls", "/"], ["addauth", "digest", f"alice:{ROOT_PASSWORD}"], ["get", "/missing"]):
            done = subprocess.run([os.environ["FERROKEEPER"], "cli", *definitions, "-server", f"127.0.0.1:{server.port}", *command],
                                  capture_output=True, timeout=GIVE_UP_S, check=False, env={**os.environ, "RUST_LOG": "trace"})
            said = (done.stdout + done.stderr).decode(errors="replace")
            assert not [secret for secret in SECRETS if secret in said], said[-2000:]


def smuggling():
    """Two ideas of where a request ends, the class of what was found in Jetty and Netty: such requests are refused."""
    with start("smuggling") as server:
        inner = b"POST /commands/restore HTTP/1.1\r\nHost: h\r\n\r\n"
        head = b"GET /commands/ruok HTTP/1.1\r\nHost: h\r\n"
        for lines in (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Content-Length: 5\r\nContent-Length: 6\r\n",
                      b"Content-Length: +5\r\n", b"Content-Length: 5, 5\r\n", b"Content-Length: 0x5\r\n", b"Content-Length: -1\r\n",
                      b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: xchunked\r\n",
                      b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"Content-Length : 5\r\n",
                      b" Content-Length: 5\r\n", b"Content-\0Length: 5\r\n", b"Host: other\r\n", b"\x0bTransfer-Encoding: chunked\r\n"):
            answer = server.raw(head + lines + b"\r\n" + b"0\r\n\r\n" + inner)
            status = answer.split(b" ", 2)[1] if answer else b"none"
            assert status in (b"400", b"501", b"none"), (lines, answer[:200])
            assert answer.count(b"HTTP/1.1 ") <= 1, (lines, answer)


def the_table_and_the_tests_do_not_overlap():
    seen = [cve for cves, _ in NOT_OURS.values() for cve in cves.split()]
    assert len(seen) == len(set(seen)), sorted(cve for cve in seen if seen.count(cve) > 1)
    tested = {name.upper().replace("_", "-") for name in globals() if name.startswith("cve_")}
    assert tested & set(seen) <= {"CVE-2016-5017"}, tested & set(seen)


def main():
    tally = Tally()
    for name, check in list(globals().items()):
        if name.startswith("cve_"):
            tally.run(f"{name.upper().replace('_', '-')}: {check.__doc__.splitlines()[0]}", check)
    tally.run("requests within requests are refused", smuggling)
    tally.run("the table and the tests do not overlap", the_table_and_the_tests_do_not_overlap)
    for what, (cves, why) in NOT_OURS.items():
        print(f"        no counterpart: {what}: {cves.replace(' ', ', ')}: {why}")
    tally.conclude()


if __name__ == "__main__":
    main()
