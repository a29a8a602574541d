"""Ensembles through everything that happens to them, for any mix of implementations.

    scenarios.py basic                                    one scenario, on Java servers
    scenarios.py --servers ferrokeeper,java-3.9,java-3.8 --observer java-3.9 basic
    scenarios.py --table FILE                             lines of: scenario, servers, observer, [next kind]

The first of the servers leads at the beginning. See SCENARIOS at the end; each is a function with the ensemble as its
argument, that raises when something is wrong."""

import argparse
import os
import re
import shutil
import signal
import sys
import time
import traceback

import reconfig as members
import trees
from client import DATA_CHANGED, SET, NoServer, Session, SessionLost, Unknown, create_body, set_body
from cluster import DEBIAN_JAR, SUPER_PASSWORD, Cluster, Failed, KINDS, ask, eventually
from history import Load
from wire import CREATE2, Lost

SCENARIOS = {}


def scenario(servers=3, observers=0, settings=None):
    def register(function):
        SCENARIOS[function.__name__] = function, servers, observers, settings
        return function
    return register


class Ensemble:
    """A running cluster with its load, for one scenario."""

    def __init__(self, directory, options, servers, observers, settings):
        count = max(servers, len(options.servers))
        kinds = [options.servers[i % len(options.servers)] for i in range(count)]
        self.next_kind = options.next
        self.cluster = Cluster(directory, kinds, [options.observer] * observers, settings)
        self.members = list(self.cluster)  # those that clients use
        self.load = None

    def ports(self):
        """Where clients may look for a server."""
        return [server.client_port for server in self.members if server.process]

    def begin(self):
        """Starts the servers, then the load on all of them."""
        self.cluster.start()
        self.load = Load(self.ports, syncs_weakly=self.is_java_leader).start()

    def is_java_leader(self, port):
        """A Java leader answers a sync of its own clients like a read: what followers have applied and acknowledged already
        it may have yet to apply. Among Java servers alone, too, that is seen once in some thousand syncs under load."""
        server = next(server for server in self.cluster if server.client_port == port)
        return server.kind != "ferrokeeper" and server.mode() == "leader"

    def calm(self):
        """Every server of the ensemble runs and serves; nothing is written any more. Compares the trees."""
        self.cluster.wait_serving()
        self.load.pause()
        return trees.compare(self.cluster)

    def same(self):
        """Compares all servers in the midst of the load."""
        self.calm()
        self.load.resume()

    def end(self):
        """The load's own checks, and the trees of all servers."""
        self.load.progress(5)
        znodes = self.calm()
        self.load.finish()
        trees.compare(self.cluster)
        print(f"    {znodes} znodes; {self.load.report()}")


def synchronised(server, how):
    """Waits until the logs say that the server was brought up to date by a DIFF, a TRUNC or a SNAP (or one of several)."""
    pattern = {
        "java": {"DIFF": r"Getting a diff from the leader", "TRUNC": r"Truncating log to get in sync",
                 "SNAP": r"Getting a snapshot from leader"},
        "ferrokeeper": {"DIFF": r"\bDIFF\b", "TRUNC": r"\bTRUNC\b", "SNAP": r"\bSNAP\b"},
    }["ferrokeeper" if server.kind == "ferrokeeper" else "java"]
    pattern = "|".join(pattern[word] for word in how.split("|"))
    if server.kind == "debian":
        return  # logs nothing
    eventually(lambda: f"{server} says {pattern!r}; its log:\n{server.log()[-3000:]}", lambda: re.search(pattern, server.log()), 15)


def whole_tree(it):
    """How a server without data is brought up to date: a leader that has all of the log may send that."""
    return "SNAP|DIFF" if it.cluster.leader().kind == "ferrokeeper" else "SNAP"


def super_session(server):
    """A session on one server, that may do everything."""
    session = Session(lambda: [server.client_port], 30_000, auth=SUPER_PASSWORD)
    session.connect()
    return session


# ---------------------------------------------------------------------------------------------------------------------


@scenario(servers=3, observers=1)
def basic(it):
    """Every role serves clients, and says what it is."""
    it.begin()
    leader = it.cluster.leader()
    for server in it.cluster:
        mode = "leader" if server is leader else "observer" if server.role == "observer" else "follower"
        figures = server.mntr()
        for what, found, wanted in [
            ("srvr", server.mode(), mode), ("mntr server_state", figures.get("server_state"), mode),
            ("ruok", server.word("ruok"), "imok"), ("isro", server.word("isro"), "rw"),
            ("stat", re.search(r"^Mode: (.*)$", server.word("stat"), re.M).group(1), mode),
        ]:
            if found != wanted:
                raise Failed(f"{server}: {what} says {found}, expected {wanted}")
        conf = dict(line.split("=", 1) for line in server.word("conf").splitlines() if "=" in line)
        wanted = {"serverId": str(server.sid), "clientPort": str(server.client_port), "tickTime": "500",
                  "initLimit": "40", "syncLimit": "10", "electionPort": str(server.election_port),
                  "quorumPort": str(server.quorum_port), "peerType": "1" if server.role == "observer" else "0"}
        for member in it.cluster:
            wanted[f"server.{member.sid}"] = member.line.split("=", 1)[1]
        wrong = {key: conf.get(key) for key in wanted if conf.get(key) != wanted[key]}
        if wrong:
            raise Failed(f"{server}: conf says {wrong}, expected {({key: wanted[key] for key in wrong})}")
        session = super_session(server)
        data, stat = session.get("/zookeeper/config")
        session.close()
        lines = set(data.decode().split("\n"))
        if lines != {member.line for member in it.cluster} | {"version=0"}:
            raise Failed(f"{server}: /zookeeper/config has {data.decode()}")
    eventually(lambda: f"the leader's learners: {leader.mntr()}",
               lambda: {key: leader.mntr().get(key) for key in ("learners", "synced_followers", "synced_observers")}
               == {"learners": "3", "synced_followers": "2", "synced_observers": "1"})
    it.load.progress(20)
    it.end()


# Of `mntr`: what Java counts by the name of a znode or the number of a learner, or only once something has happened.
COUNTED_BY_NAME = re.compile(r"_write_per_namespace$|_\d+_learner_handler_qp_|^zk_fsync_threshold_exceed_count$")
# The name of before 3.6, which some tools still ask for; and what a follower says that serves no observers.
ONLY_HERE = {"zk_followers", "zk_synced_observers"}


@scenario(servers=3, observers=1)
def words(it):
    """Each role answers the four-letter words of operators as the same role of a Java server does: line by line, but for
    the figures."""
    reference = Cluster(it.cluster.directory + "-java", ["java-3.9"] * 3, ["java-3.9"], it.cluster.settings)
    try:
        answers = [answers_by_role(cluster) for cluster in (it.cluster, reference)]
    finally:
        reference.end()
        shutil.rmtree(reference.directory)
    wrong = []
    for role, word in answers[0]:
        own, java = answers[0][role, word], answers[1][role, word]
        missing, more = sorted(java - own), sorted(own - java)
        if missing or more:
            wrong.append(f"{word} of a {role}: missing {missing}, too much {more}")
    if wrong:
        raise Failed("\n".join(wrong))


def answers_by_role(cluster):
    """{(role, word): the answer's lines without what differs from run to run}."""
    cluster.start()
    sessions = []
    for server in cluster:
        session = Session(lambda port=server.client_port: [port], 30_000)
        session.connect()
        session.ensure(f"/ephemeral{server.sid}", b"", 1)
        session.get("/", watch=True)
        sessions.append(session)
    cluster.wait_equal_zxid()
    found = {}
    for role, server in {server.mode(): server for server in cluster}.items():
        for word in ("mntr", "srvr", "stat", "conf", "cons", "dump", "isro", "ruok", "wchs", "wchc", "wchp", "gtmk"):
            text = server.word(word)
            if word == "mntr":
                keys = {line.split("\t")[0] for line in text.splitlines() if line}
                found[role, word] = {key for key in keys if not COUNTED_BY_NAME.search(key)} - ONLY_HERE
            else:
                found[role, word] = set(filter(None, (plain(line) for line in text.splitlines())))
    for session in sessions:
        session.close()
    return found


def plain(line):
    """The line without figures; nothing for one that depends on the moment."""
    if re.match(r"Zookeeper version: |dataDir=|dataLogDir=|\s*\d+ expire at |\s+ip: |(Session|Connections) Sets| /127", line):
        return None
    return re.sub(r"-?\b(0x[0-9a-f]+|\d+(\.\d+)?)\b", "N", line)


@scenario(servers=3)
def leader_killed(it):
    """Leaders die by SIGKILL, one after the other, and come back as followers."""
    it.begin()
    for _ in range(3):
        leader = it.cluster.leader()
        it.load.progress(5)
        leader.kill()
        it.cluster.leader()
        it.load.progress(5)
        leader.start()
        it.cluster.wait_serving()
        if leader.mode() != "follower":
            raise Failed(f"{leader} came back as {leader.mode()}")
    it.end()


@scenario(servers=3)
def follower_diff(it):
    """Followers die and come back under load: what they missed is sent."""
    it.begin()
    for follower in it.cluster.followers():
        follower.kill()
        it.load.progress(5)
        follower.start()
        it.cluster.wait_serving()
        synchronised(follower, "DIFF")
        it.same()
    it.end()


@scenario(servers=3)
def follower_stopped(it):
    """The same with SIGTERM, and with the leader last."""
    it.begin()
    for server in [*it.cluster.followers(), it.cluster.leader()]:
        server.stop()
        it.load.progress(5)
        server.start()
        it.cluster.wait_serving()
    it.end()


@scenario(servers=3)
def follower_snap(it):
    """Followers lose their disk and come back under load: they get a snapshot, or all of the log from a leader that has it."""
    it.begin()
    for follower in it.cluster.followers():
        follower.kill()
        follower.wipe()
        it.load.progress(5)
        follower.start()
        it.cluster.wait_serving()
        synchronised(follower, whole_tree(it))
        it.same()
    it.end()


@scenario(servers=3, settings={"forceSnapshotSync": "true"})
def snap_broken(it):
    """The leader dies in the midst of the snapshot that it sends to a follower without a disk: what came of it must not
    count, and another leader sends it again."""
    it.begin()
    session = super_session(it.cluster.leader())
    session.ensure("/large")
    for number in range(LARGE_NODES):
        session.ensure(f"/large/{number}", os.urandom(LARGE_NODE_BYTES))
    session.close()
    wiped = []
    for _ in range(2):
        leader = it.cluster.leader()
        follower = next(server for server in it.cluster.followers() if server not in wiped)
        wiped.append(follower)
        follower.kill()
        follower.wipe()
        it.load.progress(5)
        follower.start()
        in_slow_motion(follower, lambda: untaken_bytes(leader.quorum_port) > UNTAKEN_BYTES_MIN)
        leader.kill()
        follower.resume()
        it.cluster.wait_serving()
        beginnings = len(trees.RECEIVED_SNAPSHOT.findall(follower.log()))
        if beginnings < 2:
            raise Failed(f"{follower} began {beginnings} snapshots: the first was not broken off")
        it.load.progress(5)
        leader.start()
        it.cluster.wait_serving()
        it.same()
    it.end()


# Far more than the kernel takes for somebody who does not read; what it holds meanwhile is more than other traffic.
LARGE_NODES, LARGE_NODE_BYTES = 160, 400_000
UNTAKEN_BYTES_MIN = 256 << 10


def in_slow_motion(server, seen):
    """Lets the server run for moments, until something is seen between them; leaves it standing still."""
    def paused_and_seen():
        server.pause()
        if seen():
            return True
        server.resume()
        server.must_run()
        return False
    eventually(f"{server} is sent a snapshot", paused_and_seen)


def untaken_bytes(port):
    """What this machine's kernel holds of what was sent from a port, and nobody has taken yet."""
    untaken = 0
    for family in "/proc/net/tcp", "/proc/net/tcp6":
        with open(family) as file:
            for line in list(file)[1:]:
                local, remote, _, queues = line.split()[1:5]
                unsent, unread = (int(queue, 16) for queue in queues.split(":"))
                at = [int(end.rpartition(":")[2], 16) for end in (local, remote)]
                untaken += unsent * (at[0] == port) + unread * (at[1] == port)
    return untaken


def uncommitted_tail(it):
    """Leaves a leader that has logged writes which no follower has seen; all servers are down afterwards. Gives that
    leader, the paths and the session of the writes."""
    it.load.pause()
    leader, followers = it.cluster.leader(), it.cluster.followers()
    session = super_session(leader)
    session.ensure("/tail")
    # Sessions that clients have left expire first: later that would be a transaction.
    wanted = str(len(it.load.clients) + 1)
    eventually(lambda: f"the end of sessions without clients: {leader.mntr().get('global_sessions')}, not {wanted}",
               lambda: leader.mntr().get("global_sessions") == wanted)
    it.cluster.wait_equal_zxid()
    for follower in followers:
        follower.pause()
    paths = [f"/tail/uncommitted-{number}" for number in range(10)]
    for path in paths:
        session.connection.send(CREATE2, create_body(path, b"a tail that nobody has seen", 0))
    eventually(f"the last write in the log of {leader}", lambda: leader.on_disk(paths[-1].encode()))
    leader.kill()
    for follower in followers:
        # A paused process reads nothing of what waits in its sockets.
        follower.kill()
    session.lose()
    return leader, followers, paths, session


@scenario(servers=3)
def follower_trunc(it):
    """A leader dies with a tail that nobody else has; the others go on without it, so it has to be cut off."""
    it.begin()
    for _ in range(2):
        leader, followers, paths, session = uncommitted_tail(it)
        for follower in followers:
            follower.start()
        it.cluster.wait_serving()
        # No transaction in the new epoch yet: only then does Java cut, else it sends a snapshot.
        leader.start()
        it.cluster.wait_serving()
        synchronised(leader, "TRUNC")
        gone_everywhere(it, paths, session)
        it.load.resume()
    it.end()


@scenario(servers=3)
def tail_replaced(it):
    """The same, but the others have written much before the old leader returns."""
    it.begin()
    leader, followers, paths, session = uncommitted_tail(it)
    for follower in followers:
        follower.start()
    it.cluster.wait_serving()
    it.load.resume()
    it.load.progress(5)
    leader.start()
    it.cluster.wait_serving()
    it.load.pause()
    gone_everywhere(it, paths, session)
    it.load.resume()
    it.end()


@scenario(servers=3)
def tail_kept(it):
    """The leader with the tail comes back together with one of the others: it has the greatest zxid, so its tail counts."""
    it.begin()
    leader, followers, paths, session = uncommitted_tail(it)
    leader.start()
    followers[0].start()
    it.cluster.wait_serving()
    if leader.mode() != "leader":
        raise Failed(f"{leader} has the greatest zxid, but is {leader.mode()}")
    it.load.resume()
    followers[1].start()
    it.cluster.wait_serving()
    it.load.pause()
    for server in it.cluster:
        reader = super_session(server)
        reader.sync()
        missing = [path for path in paths if reader.exists(path) is None]
        reader.close()
        if missing:
            raise Failed(f"{server} has not got {missing} of the leader's history")
    session.ports = it.ports
    session.ping()
    session.close()
    it.load.resume()
    it.end()


def gone_everywhere(it, paths, session):
    for server in it.cluster:
        reader = super_session(server)
        reader.sync()
        kept = [path for path in paths if reader.exists(path)]
        reader.close()
        if kept:
            raise Failed(f"{server} has {kept}, that a quorum without them has replaced")
    # The session whose writes are gone is alive itself.
    session.ports = it.ports
    session.ensure("/tail/after")
    session.delete("/tail/after")
    session.close()


@scenario(servers=3, observers=1)
def observer(it):
    """An observer serves clients through the leader's end, and comes back by DIFF and by SNAP."""
    it.begin()
    watched = it.cluster.observers()[0]
    it.load.progress(5)
    leader = it.cluster.leader()
    leader.kill()
    it.cluster.leader()
    it.cluster.wait_serving(watched)
    it.load.progress(5)
    leader.start()
    it.cluster.wait_serving()
    it.same()
    watched.kill()
    it.load.progress(5)
    watched.start()
    it.cluster.wait_serving()
    synchronised(watched, "DIFF")
    it.same()
    watched.kill()
    watched.wipe()
    watched.start()
    it.cluster.wait_serving()
    synchronised(watched, whole_tree(it))
    # An observer does not vote: two participants down of three end the service, although two servers are left.
    for follower in it.cluster.followers():
        follower.kill()
    eventually("the end of service without a quorum", lambda: not any(server.mode() for server in it.cluster.running()))
    for server in it.cluster:
        if not server.process:
            server.start()
    it.cluster.wait_serving()
    it.end()


@scenario(servers=3)
def restarted(it):
    """The whole ensemble stops, dies, and dies again while it starts."""
    it.begin()
    for how in (signal.SIGTERM, signal.SIGKILL):
        it.load.progress(5)
        for server in it.cluster:
            server.end(how)
        for server in it.cluster:
            server.start()
        it.cluster.wait_serving()
        it.same()
    for server in it.cluster:
        server.kill()
    for server in it.cluster:
        server.start()
    it.cluster.leader()
    for server in it.cluster:
        server.kill()
    for server in it.cluster:
        server.start()
    it.cluster.wait_serving()
    it.end()


@scenario(servers=5)
def five(it):
    """Five servers: two of them, the leader among them, may die together; a third one ends the service."""
    it.begin()
    leader, followers = it.cluster.leader(), it.cluster.followers()
    leader.kill()
    followers[0].kill()
    it.cluster.wait_serving(*followers[1:])
    it.load.progress(5)
    followers[1].kill()
    eventually("the end of service without a quorum", lambda: not any(server.mode() for server in it.cluster.running()))
    for server in (followers[0], leader, followers[1]):
        server.start()
    it.cluster.wait_serving()
    it.same()
    it.end()


@scenario(servers=3)
def paused(it):
    """Servers that stand still for longer than the limits: first a follower, then the leader, that must not serve on."""
    it.begin()
    follower = it.cluster.followers()[0]
    follower.pause()
    # More than the leader waits for it.
    learners = lambda: it.cluster.leader().mntr().get("synced_followers")
    eventually(lambda: f"the leader parts with a follower that stands still: {learners()}", lambda: learners() == "1")
    it.load.progress(5)
    follower.resume()
    it.cluster.wait_serving()
    it.same()
    leader = it.cluster.leader()
    leader.pause()
    new = eventually("another leader", lambda: next(
        (server for server in it.cluster if not server.paused and server.mode() == "leader"), None))
    it.load.progress(5)
    leader.resume()
    eventually(lambda: f"the old leader steps back: {leader.mode()}", lambda: leader.mode() == "follower")
    if new.mode() != "leader":
        raise Failed(f"{new} gave up for the old leader")
    it.end()


@scenario(servers=3)
def sessions(it):
    """Sessions belong to the ensemble: they move, they expire without their server, they are kept across leaders."""
    it.begin()
    leader, followers = it.cluster.leader(), it.cluster.followers()
    # Expiry of a session whose client, and then whose server, is gone.
    left = Session(lambda: [followers[0].client_port], 4000)
    left.connect()
    left.ensure("/visitors/left", b"", 1)
    kept = Session(lambda: [followers[0].client_port], 40_000)
    kept.connect()
    kept.ensure("/visitors/kept", b"", 1)
    left.connection.drop()
    kept.connection.drop()
    followers[0].kill()
    watcher = super_session(leader)
    eventually("the expiry of a session whose server is gone", lambda: watcher.exists("/visitors/left") is None)
    if watcher.exists("/visitors/kept") is None:
        raise Failed("a session of 40 s is gone after 4 s")
    # Its client comes back, at another server.
    kept.lose()
    kept.ports = lambda: [followers[1].client_port]
    kept.ping()
    if kept.exists("/visitors/kept").owner != kept.id:
        raise Failed("the session that came back has lost its znode")
    # The old session is refused everywhere.
    left.lose()
    for server in (leader, followers[1]):
        left.ports = lambda port=server.client_port: [port]
        try:
            left.connect()
        except SessionLost:
            continue
        raise Failed(f"{server} has taken an expired session")
    followers[0].start()
    it.cluster.wait_serving()
    # One session on two servers: what comes on the old connection after the move is refused.
    old = kept.connection
    kept.connection = None
    kept.last_zxid = max(kept.last_zxid, old.last_zxid)
    kept.ports = lambda: [leader.client_port]
    kept.connect()
    kept.ensure("/visitors/moved", b"", 1)
    try:
        error, _ = old.call(SET, set_body("/visitors/moved", b"stale", -1))
        if error != -118:
            raise Failed(f"a write on the connection that the session has left is answered {error}")
    except Lost:
        pass  # Java may close the connection before it answers
    data, _ = kept.get("/visitors/moved")
    if data:
        raise Failed(f"the stale write was done: {data}")
    old.drop()
    # A wrong password is refused by every role.
    for server in it.cluster:
        forged = Session(lambda port=server.client_port: [port], 40_000)
        forged.session = kept.session._replace(password=bytes(16))
        try:
            forged.connect()
        except SessionLost:
            continue
        raise Failed(f"{server} has taken a session with a wrong password")
    # A new leader knows the sessions: the short one expires, the long one stays.
    short = Session(lambda: [leader.client_port], 4000)
    short.connect()
    short.ensure("/visitors/short", b"", 1)
    leader.kill()
    short.lose()
    new = it.cluster.leader()
    kept.lose()
    kept.ports = it.ports
    kept.ping()
    watcher.lose()
    watcher.ports = lambda: [new.client_port]
    eventually("expiry by the new leader", lambda: watcher.exists("/visitors/short") is None)
    if kept.exists("/visitors/kept") is None:
        raise Failed("the new leader has ended a session too early")
    kept.close()
    watcher.sync()
    if watcher.exists("/visitors/kept") or watcher.exists("/visitors/moved"):
        raise Failed("a closed session has left its znodes")
    watcher.close()
    leader.start()
    it.cluster.wait_serving()
    it.end()


@scenario(servers=3)
def migration(it):
    """Server by server another implementation takes over under load, and then the first ones again, leader last."""
    rolling(it, keep_data=False)


@scenario(servers=3)
def migration_keeping_data(it):
    """The same, and each new server takes over the data of the one before: `ferrokeeper import`, and `export` back."""
    rolling(it, keep_data=True)


def rolling(it, keep_data):
    it.begin()
    before = {server: server.kind for server in it.cluster}
    for kinds in ({server: it.next_kind for server in it.cluster}, before):
        for server in [*it.cluster.followers(), it.cluster.leader()]:
            it.load.progress(3)
            server.stop()
            server.replace(kinds[server], keep_data)
            it.load.progress(2)
            server.start()
            it.cluster.wait_serving()
            it.same()
    it.end()


@scenario(servers=3, settings={"reconfigEnabled": "true", "standaloneEnabled": "false"})
def reconfig(it):
    """Participants and observers join and leave, also the leader; clients see it in the configuration and its watch."""
    it.begin()
    leader = it.cluster.leader()
    session = Session(it.ports, 30_000, auth=SUPER_PASSWORD)
    session.connect()

    def config():
        session.sync()
        data, _ = session.get("/zookeeper/config")
        return data.decode()

    def change(wanted, **how):
        """One reconfiguration; waits until every member has it."""
        session.get("/zookeeper/config", watch=True)
        session.take_events()
        reconnects = session.reconnects
        try:
            result = session.reconfig(**how)
            if isinstance(result, int):
                raise Failed(f"reconfig {how} was answered {result}")
        except Unknown:
            pass  # the leader has left with the answer, or the member that the client was at
        want = {member.line for member in wanted}

        def everywhere():
            for member in wanted:
                lines = set((member.word("conf") or "").splitlines())
                if not want <= lines or {line for line in lines if re.match(r"server\.\d+=", line)} != want:
                    return False
            return True

        def has_it():
            lines = set(config().split("\n"))
            return {line for line in lines if line.startswith("server.")} == want

        eventually(lambda: f"the configuration {want}, a client sees {config()}", has_it)
        if session.reconnects == reconnects:
            events = [event[:2] for event in session.take_events()]
            if events != [(DATA_CHANGED, "/zookeeper/config")]:
                raise Failed(f"the watch of /zookeeper/config has brought {events}")
        eventually(lambda: "the configuration everywhere: " + ", ".join(
            f"{member}: {member.word('conf')}" for member in wanted), everywhere)
        it.cluster.wait_serving(*wanted)
        it.load.progress(3)

    def join(kind, role):
        """A new server that knows some members, becomes one of them."""
        server = it.cluster.add(kind, role)
        server.configure([*it.members, server])
        server.start()
        it.cluster.wait_serving_as_guest(server)
        it.members.append(server)
        change(it.members, joining=server.line)
        return server

    def leave(server):
        it.members.remove(server)
        change(it.members, leaving=str(server.sid))
        server.stop()
        del it.cluster.servers[server.sid]

    # Refusals first.
    for error, how in [(-8, {"joining": "server.9=nonsense"}), (-103, {"leaving": "1", "version": 12345}),
                       (-8, {"leaving": ",".join(str(server.sid) for server in it.members)})]:
        result = session.reconfig(**how)
        if result != error:
            raise Failed(f"reconfig {how} is answered {result}, expected {error}")
    plain = Session(it.ports)
    plain.connect()
    result = plain.reconfig(leaving="1")
    if result != -102:
        raise Failed(f"reconfig without rights is answered {result}")
    plain.close()

    fourth = join(it.next_kind, "participant")
    watching = join(it.next_kind, "observer")
    it.same()
    leave(next(server for server in it.members if server.role == "participant" and server is not leader))
    it.same()
    leave(leader)
    it.same()
    leave(watching)
    # The full form: one of the two that are left out, and in again.
    kept = [server for server in it.members if server is not fourth]
    change(it.members, members=",".join(server.line for server in it.members))
    # The whole ensemble comes back with the configuration that it has learnt.
    for server in it.cluster:
        server.kill()
    for server in it.cluster:
        server.start()
    it.cluster.wait_serving()
    if {line for line in config().split("\n") if line.startswith("server.")} != {server.line for server in it.members}:
        raise Failed(f"after a restart the configuration is {config()}")
    session.close()
    it.end()


SCENARIOS.update(members.SCENARIOS)

# ---------------------------------------------------------------------------------------------------------------------


def run(name, options, work):
    """Whether the scenario passed."""
    function, servers, observers, settings = SCENARIOS[name]
    label = f"{name} ({', '.join(options.servers)}; observer {options.observer}; next {options.next})"
    directory = os.path.join(work, f"{name}-{os.getpid()}-{time.monotonic_ns()}")
    began = time.monotonic()
    it = Ensemble(directory, options, servers, observers, settings)
    try:
        function(it)
    except Exception as error:
        print(f"fail {label} after {time.monotonic() - began:.0f} s", flush=True)
        traceback.print_exc()
        if it.load:
            it.load.stopping = True
            for client in it.load.clients:
                if client.problem:
                    print(f"{client.name}: {client.problem}")
        it.cluster.end()
        keep(it, options, name)
        return False
    it.cluster.end()
    shutil.rmtree(directory)
    print(f"pass {label}, {time.monotonic() - began:.0f} s", flush=True)
    return True


def keep(it, options, name):
    """Leaves the logs where they can be read, or shows their ends."""
    if options.keep:
        target = os.path.join(options.keep, os.path.basename(it.cluster.directory))
        shutil.copytree(it.cluster.directory, target, ignore=shutil.ignore_patterns("version-2", "*.sst"))
        print(f"logs and configuration: {target}")
        return
    for server in it.cluster:
        lines = server.log().splitlines()[-25:]
        print(f"-- the end of the log of {server}:")
        print("\n".join(lines))


def table(path):
    """Lines of: scenario servers observer next."""
    with open(path) as file:
        for line in file:
            words = line.partition("#")[0].split()
            if words:
                if len(words) != 4:
                    raise SystemExit(f"not a scenario, servers, an observer and a next kind: {line}")
                yield words[0], words[1].split(","), words[2], words[3]


def missing_here(name, kinds):
    """What the scenario needs and this machine has not got."""
    if "debian" in kinds and not os.path.exists(DEBIAN_JAR):
        return DEBIAN_JAR
    if name == "reconfig_script_status" and not os.environ["ZK_SCRIPTS"]:
        return "zkServer.sh"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", default="java-3.9,java-3.9,java-3.9", help="kinds; the first one leads")
    parser.add_argument("--observer", default="java-3.9")
    parser.add_argument("--next", default="java-3.9", help="kind that takes over or joins")
    parser.add_argument("--table", help="a file of scenarios to run")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--keep", help="directory for the logs of failed scenarios")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SCENARIOS)}")
    options = parser.parse_args()
    options.servers = options.servers.split(",")
    runs = [(name, options.servers, options.observer, options.next) for name in options.names]
    if options.table:
        runs += [entry for entry in table(options.table) if not options.names or entry[0] in options.names]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    passed = failed = 0
    for name, servers, observer_kind, next_kind in runs * options.repeat:
        for kind in (*servers, observer_kind, next_kind):
            if kind not in KINDS:
                raise SystemExit(f"no such kind of server: {kind}")
        if name not in SCENARIOS:
            raise SystemExit(f"no such scenario: {name}")
        missing = missing_here(name, (*servers, observer_kind, next_kind))
        if missing:
            print(f"left out: {name} ({', '.join(servers)}): there is no {missing}")
            continue
        entry = argparse.Namespace(servers=servers, observer=observer_kind, next=next_kind, keep=options.keep)
        if run(name, entry, os.environ["WORK"]):
            passed += 1
        else:
            failed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
