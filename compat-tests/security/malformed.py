"""Malformed input at every port, for a while each: valid streams with damage. Afterwards the server lives, answers, has not
panicked, has given back its sockets, and its memory has not grown without bound.

    malformed.py [--seconds 4] [--seed N] [--port client tls election quorum admin]

What is sent depends on the seed alone, which is printed; how much of it, on the time."""

import argparse
import collections
import os
import random
import socket
import ssl
import struct
import time

import calls
import mutate
import peers
from calls import OP, OPEN, Caller
from cluster import Cluster, eventually
from ports import free_ports
from stores import STORES, certificate
from trials import WORK, Tally, start

GROWTH_KIB_MAX = 96 << 10
# A server keeps what it used once; the first of the inputs show how much that is.
WARM_UP_CASES = 200
PATIENCE_S = 20


# -- clients --

CONNECT = struct.pack(">iqiq", 0, 0, 1000, 0) + calls.blob(bytes(16)) + b"\0"
LEGACY = CONNECT[:-1]


def request(name, body=b"", xid=1):
    return struct.pack(">ii", xid, OP[name]) + body


AUTH = request("auth", struct.pack(">i", 0) + calls.text("digest") + calls.blob(b"alice:secret"), xid=-4)
READS = [request(name, calls.watched("/f", True)) for name in ("exists", "getData", "getChildren", "getChildren2")]
OTHERS = [
    request("getACL", calls.text("/f")), request("sync", calls.text("/")), request("ping", xid=-2), request("whoAmI"),
    request("getEphemerals", calls.text("/")), request("getAllChildrenNumber", calls.text("/")),
    request("addWatch", calls.numbered("/f", 1)), request("checkWatches", calls.numbered("/f", 3)),
    request("removeWatches", calls.numbered("/f", 3)), request("setWatches", calls.set_watches(3, "/f", "/g"), xid=-8),
    request("setWatches2", calls.set_watches(5, "/f", "/g"), xid=-8),
    request("multiRead", calls.multi(("getData", calls.watched("/f")), ("getChildren", calls.watched("/")))),
]
ACL = calls.acl((31, "world", "anyone"), (3, "ip", "127.0.0.1/8"), (1, "digest", calls.digest_of("a:b")), (1, "auth", ""))
WRITES = [
    request("create", calls.create("/f/a", ACL)), request("create", calls.create("/f/e", flags=1)),
    request("create2", calls.create("/f/b", flags=3)), request("createContainer", calls.create("/f/c", flags=4)),
    request("createTTL", calls.create("/f/t", flags=5) + struct.pack(">q", 1000)),
    request("setData", calls.set_data("/f", b"x" * 100)), request("setACL", calls.set_acl("/f", ACL)),
    request("delete", calls.versioned("/f/a")), request("reconfig", calls.reconfig(leaving="1,2")),
    request("multi", calls.multi(("check", calls.versioned("/f")), ("create", calls.create("/f/m")),
                                 ("setData", calls.set_data("/f")), ("delete", calls.versioned("/f/m")))),
    request("create", calls.create("/zookeeper/quota/f")),
    request("create", calls.create("/zookeeper/quota/f/zookeeper_limits", data=b"count=5,bytes=500=;byteHardLimit=9")),
]
SASL = request("sasl", calls.blob(b'charset=utf-8,username="a",realm="r",nonce="n",nc=00000001,cnonce="c",response=00,qop=auth'))
CLIENT_STREAMS = [
    [CONNECT, AUTH, *READS], [LEGACY, *OTHERS], [CONNECT, *WRITES], [CONNECT, SASL, *READS, *WRITES],
    [CONNECT, *WRITES, *OTHERS, request("closeSession")], [CONNECT, request("createSession", struct.pack(">i", 5)),
                                                          request("deleteContainer", calls.text("/f"))],
    [struct.pack(">iqiq", 0, 0, 1000, 5) + calls.blob(bytes(16)) + b"\1"],
]
WORDS = [word.encode() for word in "conf cons crst dirs dump envi gtmk hash isro mntr ruok srst srvr stat stmk wchc wchp wchs".split()]


def client_case(rng):
    if rng.random() < 0.05:
        return mutate.frame_bytes(rng, rng.choice(WORDS) + rng.randbytes(rng.randrange(12)))
    return mutate.lengths(rng, mutate.frames(rng, rng.choice(CLIENT_STREAMS), CLIENT_STREAMS))


# -- between servers --

IDS = [0, 1, 2, 3, 4, 7, 255, -1, 2**63 - 1, -(2**63)]
SERVER_LINE = b"server.4=127.0.0.1:1:2:participant;127.0.0.1:3\nversion=100000000"


def election_streams(rng):
    sid = rng.choice(IDS)
    votes = [peers.notification(state, rng.choice(IDS), rng.choice(mutate.LONGS), rng.choice(mutate.LONGS),
                                rng.choice(mutate.LONGS), rng.choice([b"", SERVER_LINE]))[4:] for state in range(5)]
    rng.shuffle(votes)
    return rng.choice([peers.greeting(sid, "127.0.0.1:1"), peers.greeting(sid, "127.0.0.1:1|[::1]:2"),
                       struct.pack(">q", sid), struct.pack(">qqi", -65535, sid, 11) + b"127.0.0.1:1"]), votes


def election_case(rng):
    greeting, votes = election_streams(rng)
    if rng.random() < 0.3:
        greeting = mutate.frame_bytes(rng, greeting)
    return greeting + mutate.lengths(rng, mutate.frames(rng, votes, [votes]))


def quorum_case(rng):
    sid, epoch = rng.choice(IDS), rng.choice([0, 1, 2, 5, 2**31 - 1])
    kind = rng.choice([peers.FOLLOWER_INFO, peers.OBSERVER_INFO])
    zxid = rng.choice(mutate.LONGS)
    session = struct.pack(">q", rng.choice(mutate.LONGS))
    stream = [
        peers.introduction(sid, epoch, kind), peers.packet(peers.ACK_EPOCH, zxid, struct.pack(">i", epoch)),
        peers.packet(peers.ACK, epoch << 32), peers.packet(peers.ACK, zxid),
        peers.packet(peers.PING, 0, session + struct.pack(">i", 1000)),
        peers.packet(peers.REVALIDATE, 0, session + struct.pack(">i", 1000)),
        peers.packet(peers.SYNC, 0, session + struct.pack(">ii", 1, 9)),
        *(peers.packet(peers.REQUEST, 0, session + write) for write in rng.sample(WRITES, 4)),
        *(peers.packet(kind, zxid, rng.randbytes(rng.randrange(40))) for kind in rng.sample(range(-1, 22), 4)),
    ]
    return b"".join(mutate.frames(rng, stream, [stream]))


# -- HTTP --

HTTP_STREAMS = [
    b"GET /commands/mntr HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /commands/set_trace_mask?traceMask=306 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"POST /commands/restore HTTP/1.1\r\nHost: h\r\nAuthorization: digest a:b\r\nContent-Length: 5\r\n\r\nZKSN\0",
    b"POST /commands/restore HTTP/1.1\r\nHost: h\r\nAuthorization: ip\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nZKSN\r\n0\r\n\r\n",
    b"POST /commands/restore HTTP/1.1\r\nHost: h\r\nAuthorization: ip\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nZKS",
    b"GET /commands/snapshot HTTP/1.0\r\nAuthorization: x509\r\n\r\n",
    b"GET /dashboard/api/children?path=%2F&after=f&find=a HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: digest a:b\r\n\r\n",
    b"GET /dashboard/api/node?path=/f HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
    b"GET /dashboard/api/transactions HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
    b"POST /dashboard/api/data?path=/f&version=-1 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: digest a:b\r\nX-Ferrokeeper-Edit: 1\r\n"
    b"Content-Length: 5\r\n\r\nhello",
    b"POST /dashboard/api/acl?path=/g&version=0 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: ip\r\nX-Ferrokeeper-Edit: 1\r\n"
    b"Content-Length: 14\r\n\r\nworld:anyone:r",
    b"\x16\x03\x01\x00\x05hello",
]
HTTP_WORDS = [b"\r\n", b"\0", b"%", b"%zz", b"%00", b": ", b"?", b"&", b"=", b"99999999999999999999", b"Content-Length: 7\r\n",
              b"Transfer-Encoding: chunked\r\n", b"ffffffffffffffff\r\n", b"A" * 9000, b"Authorization: digest a:b\r\n", b"\xff\xfe"]


def http_case(rng):
    data = mutate.text(rng, rng.choice(HTTP_STREAMS), HTTP_WORDS)
    return data + (rng.choice(HTTP_STREAMS) if rng.random() < 0.2 else b"")


# -- sending --


def finish(rng, sock):
    """Waits for the end, or goes without a word."""
    if rng.random() < 0.2:
        # Not even an end: a reset.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return
    sock.shutdown(socket.SHUT_WR)
    while sock.recv(65536):
        pass


def send(rng, port, data):
    # In pieces now and then: what comes incomplete is another way through the server.
    cut = rng.randrange(len(data) + 1) if rng.random() < 0.3 else len(data)
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in (data[:cut], data[cut:]):
                if piece:
                    sock.sendall(piece)
            finish(rng, sock)
    except TimeoutError:
        raise AssertionError(f"the connection neither goes on nor ends: {data[:400].hex()}") from None
    except OSError:
        pass


def send_tls(rng, port, context, data):
    """Rubbish instead of the handshake, in it, behind it, or as a client inside of it."""
    try:
        match rng.randrange(4):
            case 0:
                outgoing = ssl.MemoryBIO()
                hello = context.wrap_bio(ssl.MemoryBIO(), outgoing)
                try:
                    hello.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                send(rng, port, mutate.frame_bytes(rng, outgoing.read()))
            case 1:
                send(rng, port, data)
            case 2:
                with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain:
                    kept = plain.dup()
                    with context.wrap_socket(plain) as secure, kept:
                        secure.sendall(data[:100])
                        head = bytes([rng.choice([20, 21, 22, 23, 24, 0]), 3, rng.choice([1, 3, 4])])
                        kept.sendall(mutate.frame_bytes(rng, head + struct.pack(">H", 40) + rng.randbytes(40)))
                        finish(rng, kept)
            case _:
                with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain, context.wrap_socket(plain) as secure:
                    secure.sendall(data)
                    if rng.random() < 0.5:
                        secure.sendall(WORDS[0])
    except TimeoutError:
        raise AssertionError(f"the connection neither goes on nor ends: {data[:400].hex()}") from None
    except OSError:
        pass


# -- what has to hold afterwards --


class Watched:
    """A process under fire."""

    def __init__(self, name, process, log, answers):
        self.name, self.process, self.log, self.answers = name, process, log, answers

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

    def files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def check(self, rss_before, files_before):
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.log()[-3000:]}"
        assert "panicked" not in self.log(), f"{self.name} panicked:\n{self.log()[self.log().index('panicked') - 500:][:3000]}"
        self.answers()
        eventually(lambda: f"{self.name} has {self.files()} files open, {files_before} before",
                   lambda: self.files() <= files_before + 16, 120)
        grown = self.rss_kib() - rss_before
        assert grown < GROWTH_KIB_MAX, f"{self.name} took {grown} KiB more"
        return grown


def barrage(name, options, watched, fire):
    """Fires for the time given; `fire` takes the generator."""
    rng = random.Random(f"{options.seed} {name}")
    recent = collections.deque(maxlen=4)

    def remembered(case):
        recent.append(case[:300].hex())
        return case

    for _ in range(WARM_UP_CASES):
        fire(rng, remembered)
    before = [(one.rss_kib(), one.files()) for one in watched if one.process.poll() is None]
    end, count = time.monotonic() + options.seconds, WARM_UP_CASES
    try:
        assert len(before) == len(watched), "a server ended while it warmed up"
        while time.monotonic() < end and all(one.process.poll() is None for one in watched):
            fire(rng, remembered)
            count += 1
        grown = [one.check(*was) for one, was in zip(watched, before)]
    except AssertionError:
        print("the last inputs were\n" + "\n".join(recent))
        for one in watched:
            print(f"the log of {one.name} ends with\n{one.log()[-2000:]}")
        raise
    print(f"        {name}: {count} inputs, {', '.join(map(str, grown))} KiB more memory")


def write_and_read(port):
    caller = Caller(port)
    caller.ask("create", calls.create("/alive", OPEN))
    assert caller.ask("getData", calls.watched("/alive"))[0] == 0
    caller.close()


def alone(options, tally):
    own = certificate("server", "IP:127.0.0.1")
    [secure] = free_ports(1)
    lines = ["tickTime=500", "minSessionTimeout=1000", "maxSessionTimeout=2000", "admin.idleTimeout=2000", "enforceQuota=true", "admin.dashboard.edit=true",
             f"secureClientPort={secure}", "secureClientPortAddress=127.0.0.1", f"ssl.keyStore.location={own}",
             f"ssl.trustStore.location={STORES}/ca.pem", "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider"]
    jaas = os.path.join(WORK, "malformed.jaas")
    with open(jaas, "w") as out:
        out.write('Server { org.apache.zookeeper.server.auth.DigestLoginModule required user_bob="secret"; };\n')
    context = ssl.create_default_context(cafile=os.path.join(STORES, "ca.pem"))
    context.check_hostname = False
    context.load_cert_chain(own)
    targets = {
        "client": lambda rng, note: send(rng, server.port, note(client_case(rng))),
        "tls": lambda rng, note: send_tls(rng, secure, context, note(client_case(rng))),
        "admin": lambda rng, note: send(rng, server.admin, note(http_case(rng))),
    }
    if not set(targets) & set(options.port):
        return
    with start("malformed", *lines, flags=[f"-Djava.security.auth.login.config={jaas}"]) as server:
        Caller(server.port).ask("create", calls.create("/f"))

        def answers():
            write_and_read(server.port)
            assert server.command("ruok")["error"] is None
            assert server.get("/dashboard/api/overview").status == 200

        watched = [Watched("the server", server.process, server.log, answers)]
        for name, fire in targets.items():
            if name in options.port:
                tally.run(f"malformed input at the {name} port", barrage, name, options, watched, fire)
        tally.run("what it wrote is read again", starts_again, server)


def starts_again(server):
    """Whatever got into the log, a server that starts can apply it."""
    assert server.stop() == 0, server.log()[-2000:]
    server.start()
    write_and_read(server.port)
    assert "panicked" not in server.log()


def ensemble(options, tally):
    targets = {"election": election_case, "quorum": quorum_case}
    if not set(targets) & set(options.port):
        return
    cluster = Cluster(os.path.join(WORK, "ensemble"), ["ferrokeeper"] * 3, settings={"maxSessionTimeout": 10_000})
    cluster.start()
    servers = list(cluster)

    def watch(server):
        def answers():
            # It may have lost its leader for a moment: members believe one another.
            cluster.wait_serving()
            write_and_read(server.client_port)
        return Watched(str(server), server.process, server.log, answers)

    watched = [watch(server) for server in servers]
    for name, case in targets.items():
        if name in options.port:
            def fire(rng, note, name=name, case=case):
                send(rng, getattr(rng.choice(servers), f"{name}_port"), note(case(rng)))
            tally.run(f"malformed input at the {name} port", barrage, name, options, watched, fire)
    cluster.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4, help="at each port")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--port", nargs="+", default=["client", "tls", "admin", "election", "quorum"],
                        choices=["client", "tls", "admin", "election", "quorum"])
    options = parser.parse_args()
    print(f"malformed: --seed {options.seed} --seconds {options.seconds}")
    tally = Tally()
    alone(options, tally)
    ensemble(options, tally)
    tally.conclude()


if __name__ == "__main__":
    main()
