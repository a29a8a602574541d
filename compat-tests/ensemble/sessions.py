"""Local sessions and read-only mode, for any mix of implementations.

    sessions.py                                              every scenario, on Java servers
    sessions.py --mix ferrokeeper,java-3.9,ferrokeeper --observer ferrokeeper local_sessions

The first of the servers leads. Each scenario says what a Java ensemble does, to the error code and to the words that
servers answer; the servers are asked one by one, so every role is looked at."""

import argparse
import hashlib
import os
import re
import shutil
import sys
import time
import traceback

import wire
from cluster import PATIENCE, TEST_JVM, Cluster, Failed, eventually
from java_client import JavaClient
from wire import CLOSE, CREATE, CREATE2, DELETE, MULTI, PING, SET, Lost, Refused, blob, create_body, text

try:
    from kazoo import exceptions as kazoo_exceptions
    HAS_KAZOO = True
except ImportError:
    HAS_KAZOO = False

SYNC = 9
SESSION_EXPIRED, NOT_READ_ONLY, EPHEMERAL_ON_LOCAL = -112, -119, -120
EPHEMERAL = 1
SCENARIOS = {}


def scenario(**settings):
    def register(function):
        SCENARIOS[function.__name__] = function, settings
        return function
    return register


class Connection(wire.Connection):
    """As `wire` has it, but the handshake may ask for a read-only server, and tells whether it found one."""

    def __init__(self, port, timeout_ms=30_000, session=None, read_only=False, last_zxid=0):
        self.asks_read_only, self.is_read_only, self.greeting = read_only, None, True
        super().__init__(port, timeout_ms, session, last_zxid)

    def write(self, body):
        if self.greeting:
            body = body[:-1] + (b"\1" if self.asks_read_only else b"\0")
        super().write(body)

    def frame(self):
        frame = super().frame()
        if self.greeting:
            self.greeting = False
            self.is_read_only = frame[-1] == 1
        return frame


def must(what, found, wanted):
    if found != wanted:
        raise Failed(f"{what}: {found}, expected {wanted}")


def closed(port, **how):
    """Whether the server closes the connection instead of answering the handshake."""
    try:
        Connection(port, **how).drop()
    except Lost:
        return True
    return False


def refused(port, session):
    """Whether the server says that there is no such session."""
    try:
        Connection(port, session=session).drop()
    except Refused:
        return True
    return False


def multi_body(*creates):
    parts = [struct_header(CREATE) + create_body(path, b"", flags) for path, flags in creates]
    return b"".join(parts) + (b"\xff\xff\xff\xff\x01\xff\xff\xff\xff")


def struct_header(op):
    return op.to_bytes(4, "big", signed=True) + b"\0" + b"\xff\xff\xff\xff"


def multi_codes(reply):
    """The code of each part."""
    codes = []
    while True:
        op, done, error = reply.take(">i?i")
        if done:
            return codes
        codes.append(error)
        if op == -1:
            must("a part's code", reply.take(">i"), error)
        elif op == CREATE:
            reply.text()
            codes[-1] = 0


def dump(server):
    """The ids of the local and of the global sessions."""
    answer = server.word("dump")
    local, _, rest = answer.partition("\nGlobal Session")
    if not rest:
        raise Failed(f"{server}: dump has no global sessions: {answer}")
    ids = lambda part: {int(found, 16) for found in re.findall(r"^\t?0x([0-9a-f]+)(?:\t\d+ms)?$", part, re.M)}
    return ids(local), ids(rest.partition("\nephemeral nodes dump:")[0])


def counts(server):
    figures = server.mntr()
    return int(figures["local_sessions"]), int(figures["global_sessions"])


def everywhere(cluster, what, condition):
    for server in cluster.running():
        eventually(f"{server}: {what}", lambda: condition(server))


def other_than(cluster, server):
    return next(other for other in cluster.running() if other is not server)


def top_byte(session):
    return session.id >> 56 & 0xff


def begin(cluster):
    """Starts the servers, with one transaction: without any they do not agree how far they are."""
    cluster.start()
    first = Connection(cluster.leader().client_port)
    first.create("/begin")
    first.close()


# ---------------------------------------------------------------------------------------------------------------------


@scenario(localSessionsEnabled="true", localSessionsUpgradingEnabled="true")
def local_sessions(cluster):
    """Sessions begin local, write what is no ephemeral, and become global when they make one: on every role."""
    begin(cluster)
    for server in cluster:
        other = other_than(cluster, server)
        zxid = cluster.wait_equal_zxid()
        one = Connection(server.client_port)
        must(f"{server}: the server in the session's id", top_byte(one.session), server.sid)
        must(f"{server}: local and global sessions", counts(server), (1, 0))
        must(f"{other}: local and global sessions", counts(other), (0, 0))
        must(f"{server}: dump", dump(server), ({one.session.id}, set()))
        must("the zxid after a session began", cluster.wait_equal_zxid(), zxid)

        one.create(f"/plain{server.sid}")
        must(f"{server}: local and global sessions after a write", counts(server), (1, 0))
        error, reply = one.call(MULTI, multi_body((f"/m{server.sid}", 0), (f"/n{server.sid}", 0)))
        must("a multi of plain nodes", (error, multi_codes(reply)), (0, [0, 0]))
        must("sync", one.call(SYNC, text("/"))[0], 0)
        again = Connection(server.client_port, session=one.session)
        must(f"{server}: dump after the session went on", dump(server), ({one.session.id}, set()))
        must(f"{other} knows the session", refused(other.client_port, one.session), True)

        path = f"/ephemeral{server.sid}"
        again.create(path, flags=EPHEMERAL)
        session = again.session.id
        must("the owner", again.exists(path).owner & (1 << 64) - 1, session & (1 << 64) - 1)
        everywhere(cluster, "one global session", lambda server: counts(server) == (0, 1))
        everywhere(cluster, "dump", lambda server: dump(server) == (set(), {session & (1 << 64) - 1}))
        moved = Connection(other.client_port, session=again.session, last_zxid=again.last_zxid)
        must("the node, elsewhere", moved.exists(path) is not None, True)
        moved.create(path + "b", flags=EPHEMERAL)
        moved.close()
        everywhere(cluster, "no global session", lambda server: counts(server) == (0, 0))
        everywhere(cluster, "no ephemerals", lambda server: server.mntr()["ephemerals_count"] == "0")

        many = Connection(server.client_port)
        error, reply = many.call(MULTI, multi_body((f"/p{server.sid}", 0), (path, EPHEMERAL)))
        must("a multi with an ephemeral", (error, multi_codes(reply)), (0, [0, 0]))
        everywhere(cluster, "one global session", lambda server: counts(server) == (0, 1))
        many.close()
        everywhere(cluster, "no ephemerals", lambda server: server.mntr()["ephemerals_count"] == "0")


@scenario(localSessionsEnabled="true", localSessionsUpgradingEnabled="true")
def local_sessions_end(cluster):
    """A local session ends at its server, without a word to the others; one that was upgraded ends for all."""
    begin(cluster)
    for server in cluster:
        zxid = cluster.wait_equal_zxid()
        short = Connection(server.client_port, timeout_ms=2000)
        closing = Connection(server.client_port)
        must(f"{server}: local sessions", counts(server)[0], 2)
        session = closing.session
        closing.close()
        must("the session that was closed is over", refused(server.client_port, session), True)
        must("the zxid after a session was closed", cluster.wait_equal_zxid(), zxid)
        eventually(f"{server} lets the silent session end", lambda: counts(server)[0] == 0)
        try:
            short.frame()
            raise Failed("a word to the silent client")
        except Lost:
            pass
        must("the session that fell silent is over", refused(server.client_port, short.session), True)
        must("the zxid after a session has expired", cluster.wait_equal_zxid(), zxid)

        # All at once: the end comes while the upgrade is under way (ZOOKEEPER-3471).
        path = f"/hasty{server.sid}"
        hasty = Connection(server.client_port, timeout_ms=60_000)
        sent = [hasty.send(CREATE, create_body(path, b"", EPHEMERAL)), hasty.send(CLOSE)]
        must("the answers", [hasty.receive(xid)[0] for xid in sent], [0, 0])
        hasty.drop()
        everywhere(cluster, "no ephemerals", lambda server: server.mntr()["ephemerals_count"] == "0")
        everywhere(cluster, "no sessions", lambda server: counts(server) == (0, 0))

        # One that was upgraded expires at the leader, and lives as long as its client is heard here.
        living = Connection(server.client_port, timeout_ms=2000)
        living.create(path, flags=EPHEMERAL)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            must("a ping", living.call(PING)[0], 0)
            time.sleep(0.2)
        everywhere(cluster, "the ephemeral", lambda server: server.mntr()["ephemerals_count"] == "1")
        living.drop()
        everywhere(cluster, "no ephemerals", lambda server: server.mntr()["ephemerals_count"] == "0")
        everywhere(cluster, "no sessions", lambda server: counts(server) == (0, 0))


@scenario(localSessionsEnabled="true", localSessionsUpgradingEnabled="false")
def local_sessions_only(cluster):
    """Without upgrades nobody owns an ephemeral, and everything else goes on."""
    cluster.start()
    leader = cluster.leader()
    for server in cluster:
        one = Connection(server.client_port)
        path = f"/only{server.sid}"
        for opcode in (CREATE, CREATE2):
            error, _ = one.call(opcode, create_body(path, b"", EPHEMERAL))
            must(f"{server}: an ephemeral", error, EPHEMERAL_ON_LOCAL)
        error, reply = one.call(MULTI, multi_body((path, 0), (path + "e", EPHEMERAL), (path + "f", 0)))
        wanted = EPHEMERAL_ON_LOCAL if server is leader else SESSION_EXPIRED
        must(f"{server}: a multi with an ephemeral", (error, multi_codes(reply)), (0, [0, wanted, -2]))
        one.create(path)
        must(f"{server}: sessions", counts(server), (1, 0))
        one.close()
    must("global sessions", [counts(server)[1] for server in cluster], [0] * len(cluster.servers))


def digest_of_files(server):
    """Names and contents of what is logged and promised. What a store does with its files when it has time is its own."""
    seen = {}
    for directory, _, names in os.walk(server.data):
        for name in names:
            if re.fullmatch(r"(log|snapshot)\..*|.*\.log|ack-mark|(accepted|current)Epoch", name):
                with open(os.path.join(directory, name), "rb") as file:
                    seen[name] = hashlib.sha256(file.read()).hexdigest()
    must(f"{server}: has a log", any("log" in name for name in seen), True)
    return seen


def alone(cluster):
    """Leaves one server, the last of the followers, without a quorum; waits until it is read-only. The seconds."""
    kept = cluster.followers()[-1]
    began = time.monotonic()
    for server in cluster.running():
        if server is not kept:
            server.kill()
    eventually(f"{kept} says read-only", lambda: kept.mode() == "read-only")
    return kept, time.monotonic() - began


@scenario(localSessionsEnabled="true", localSessionsUpgradingEnabled="true", read_only=True)
def read_only(cluster):
    """A server without a quorum serves those who only read, until there is a quorum."""
    cluster.start()
    writer = Connection(cluster.leader().client_port)
    writer.create("/kept", b"data")
    writer.create("/owned", flags=EPHEMERAL)
    cluster.wait_equal_zxid()
    must("isro of all", {server.word("isro") for server in cluster}, {"rw"})
    kept, took = alone(cluster)
    if took < 2:
        raise Failed(f"read-only after {took:.2f} s already")
    before = digest_of_files(kept)
    zxid = kept.zxid()
    must("isro", kept.word("isro"), "ro")
    must("ruok", kept.word("ruok"), "imok")
    for word in ("srvr", "stat"):
        must(f"the second line of {word}", kept.word(word).split("\n")[1],
             "READ-ONLY mode; serving only read-only clients")
    figures = kept.mntr()
    must("mntr server_state", figures["server_state"], "read-only")
    must("mntr peer_state and quorum_size", (figures.get("peer_state"), figures.get("quorum_size")), (None, None))
    must("conf's last lines", re.findall(r"^(peerType|membership|server\.\d+)", kept.word("conf"), re.M), ["peerType"])

    port = kept.client_port
    must("a client that wants to write is sent away", closed(port), True)
    must("a client from the future is sent away", closed(port, read_only=True, last_zxid=zxid + 1), True)
    must("a global session is sent away", closed(port, session=writer.session, read_only=True), True)
    reader = Connection(port, read_only=True)
    must("the server says that it is read-only", reader.is_read_only, True)
    must("the server in the session's id", top_byte(reader.session), kept.sid)
    must("what was written", reader.read("/kept")[0], b"data")
    must("the ephemeral", reader.exists("/owned") is not None, True)
    must("children", reader.children("/"), ["kept", "owned", "zookeeper"])
    set_body = text("/kept") + blob(b"new") + b"\xff\xff\xff\xff"
    for what, opcode, body in [
        ("create", CREATE, create_body("/new", b"", 0)), ("create2", CREATE2, create_body("/new", b"", EPHEMERAL)),
        ("set", SET, set_body), ("delete", DELETE, text("/kept") + b"\xff\xff\xff\xff"),
        ("multi", MULTI, multi_body(("/new", 0))), ("sync", SYNC, text("/")),
    ]:
        must(what, reader.call(opcode, body)[0], NOT_READ_ONLY)
    must("a read behind them", reader.read("/kept")[0], b"data")
    must("a ping", reader.call(PING)[0], 0)
    must("dump", dump(kept), ({reader.session.id}, {writer.session.id & (1 << 64) - 1}))
    must("sessions", counts(kept), (1, 1))
    again = Connection(port, session=reader.session, read_only=True)
    must("the session goes on", again.read("/kept")[0], b"data")
    closing = Connection(port, read_only=True)
    closing.close()
    must("a session that was closed", refused_read_only(port, closing.session), True)
    short = Connection(port, timeout_ms=1000, read_only=True)
    eventually("a silent session ends", lambda: counts(kept)[0] == 1 or again.call(PING)[0])
    must("zxid", kept.zxid(), zxid)
    must("what is on disk", digest_of_files(kept), before)
    short.drop()

    for server in cluster:
        if server.process is None:
            server.start()
    try:
        while True:
            again.call(PING)
            time.sleep(0.05)
    except Lost:
        pass
    cluster.wait_serving()
    must("isro of all", {server.word("isro") for server in cluster}, {"rw"})
    must("the read-only session", refused(port, again.session), True)
    back = Connection(port, session=writer.session, last_zxid=writer.last_zxid)
    must("the node of the session that waited", back.exists("/owned") is not None, True)
    reader = Connection(port, read_only=True)
    must("a server with a leader is not read-only", reader.is_read_only, False)
    reader.create("/new")
    back.close()
    reader.close()


def knows_committed(server, zxid):
    """Whether the server would know after a restart that so much was committed; Java takes all that it has for that."""
    if server.kind != "ferrokeeper":
        return True
    for directory, _, names in os.walk(server.data):
        if "commit-mark" in names:
            with open(os.path.join(directory, "commit-mark"), "rb") as file:
                return int.from_bytes(file.read()[4:12], "big") >= zxid
    return False


@scenario(localSessionsEnabled="true", localSessionsUpgradingEnabled="true", read_only=True)
def read_only_from_the_start(cluster):
    """Every server dies, and one comes back alone: it shows what was committed."""
    cluster.start()
    writer = Connection(cluster.leader().client_port)
    writer.create("/kept", b"data")
    zxid = cluster.wait_equal_zxid()
    kept = cluster.followers()[0]
    eventually(f"{kept} notes what is committed", lambda: knows_committed(kept, zxid))
    for server in cluster:
        server.kill()
    kept.start()
    eventually(f"{kept} says read-only", lambda: kept.mode() == "read-only")
    must("zxid", kept.zxid(), zxid)
    reader = Connection(kept.client_port, read_only=True)
    must("what was written", reader.read("/kept")[0], b"data")
    for server in cluster:
        if server.process is None:
            server.start()
    cluster.wait_serving()
    again = Connection(kept.client_port)
    must("what was written", again.read("/kept")[0], b"data")
    again.create("/more")
    cluster.wait_equal_zxid()


def refused_read_only(port, session):
    try:
        Connection(port, session=session, read_only=True).drop()
    except Refused:
        return True
    return False


@scenario(read_only=True)
def read_only_without_local_sessions(cluster):
    """Without local sessions a read-only server has none to give."""
    cluster.start()
    writer = Connection(cluster.leader().client_port)
    cluster.wait_equal_zxid()
    kept, _ = alone(cluster)
    port = kept.client_port
    must("isro", kept.word("isro"), "ro")
    must("a global session is sent away", closed(port, session=writer.session, read_only=True), True)
    try:
        reply = Connection(port, read_only=True)
        raise Failed(f"{kept} gave session {reply.session.id:#x}")
    except (Lost, Refused, AssertionError) as error:
        # Java answers with a frame that no client can read, and no session begins.
        if isinstance(error, Failed):
            raise


def kazoo_client(cluster):
    from kazoo.client import KazooClient

    servers = ",".join(f"127.0.0.1:{server.client_port}" for server in cluster)
    client = KazooClient(hosts=servers, timeout=30, read_only=True)
    client.start(timeout=PATIENCE)
    return client


@scenario(localSessionsEnabled="true", localSessionsUpgradingEnabled="true", read_only=True)
def read_only_clients(cluster):
    """Java's client and Kazoo, if it is there, find the read-only server, and the others when they are back."""
    cluster.start()
    writer = Connection(cluster.leader().client_port)
    writer.create("/kept", b"data")
    cluster.wait_equal_zxid()
    alone(cluster)
    java = JavaClient("ReadOnlyClient.java", os.environ["CLASSPATH_JAVA_3_9"], ["got", "created", "session", "error"], cluster)
    try:
        must("the Java client", java.hear("state"), "state ConnectedReadOnly")
        must("its read", java.ask("get /kept"), "got data")
        must("its write", java.ask("create /java EPHEMERAL"), "error NOTREADONLY")
        alone_session = java.ask("session")
        if HAS_KAZOO:
            kazoo = kazoo_client(cluster)
            must("Kazoo", kazoo.client_state, "CONNECTED_RO")
            must("its read", kazoo.get("/kept")[0], b"data")
            try:
                kazoo.create("/kazoo")
                raise Failed("Kazoo writes")
            except kazoo_exceptions.NotReadOnlyCallError:
                pass
        for server in cluster:
            if server.process is None:
                server.start()
        seen = []
        while not seen or seen[-1] != "state SyncConnected":
            seen.append(java.hear("state"))
        must("what the Java client lived through", "state Expired" in seen, False)
        must("its write", java.ask("create /java EPHEMERAL"), "created /java")
        must("its session is another one", java.ask("session") != alone_session, True)
        if HAS_KAZOO:
            eventually("Kazoo is connected", lambda: kazoo.client_state == "CONNECTED")
            must("its write", kazoo.retry(kazoo.create, "/kazoo", ephemeral=True), "/kazoo")
            kazoo.stop()
            kazoo.close()
    finally:
        java.end()


# ---------------------------------------------------------------------------------------------------------------------


def run(name, kinds, observer, options, work):
    function, settings = SCENARIOS[name]
    settings = dict(settings)
    jvm = TEST_JVM
    if settings.pop("read_only", False):
        # Java takes this one from the command line only.
        settings["readonlymode.enabled"] = "true"
        jvm += " -Dreadonlymode.enabled=true"
    label = f"{name} ({', '.join(kinds)}; observer {observer})"
    directory = os.path.join(work, f"{name}-{os.getpid()}-{time.monotonic_ns()}")
    began = time.monotonic()
    cluster = Cluster(directory, kinds, [observer], settings, jvm)
    try:
        function(cluster)
    except Exception:
        print(f"fail {label} after {time.monotonic() - began:.0f} s", flush=True)
        traceback.print_exc()
        for server in cluster:
            lines = [line for line in server.log().splitlines() if " command from " not in line]
            print(f"-- the end of the log of {server}:\n" + "\n".join(lines[-15:]))
        return False
    finally:
        cluster.end()
        if not options.keep:
            shutil.rmtree(directory)
    print(f"pass {label}, {time.monotonic() - began:.0f} s", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mix", action="append", help="kinds of the participants; the first one leads")
    parser.add_argument("--observer", default="java-3.9")
    parser.add_argument("--keep", action="store_true", help="leave the directories of the servers")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SCENARIOS)}")
    options = parser.parse_args()
    results = [run(name, mix.split(","), options.observer, options, os.environ["WORK"])
               for mix in options.mix or ["java-3.9,java-3.9,java-3.9"] for name in options.names or SCENARIOS]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
