"""Changes of the members of a running ensemble: who joins, leaves, changes its part or its ports, and what is refused.

Registered with the other scenarios; `changing` is what they have in common."""

import os
import re
import subprocess

from client import DATA_CHANGED, Session, SessionLost, Unknown
from cluster import SUPER_PASSWORD, Failed, ask, eventually
from ports import free_port
from java_client import JavaClient

SETTINGS = {"reconfigEnabled": "true", "standaloneEnabled": "false"}
SCENARIOS = {}


def scenario(servers=3, observers=0, **settings):
    def register(function):
        SCENARIOS[function.__name__] = function, servers, observers, {**SETTINGS, **settings}
        return function
    return register


def lines_of(config):
    return {line for line in config.splitlines() if line.startswith("server.")}


class Changing:
    """An ensemble under load, and a client that may change its members."""

    def __init__(self, it):
        self.it = it
        it.begin()
        self.session = None

    def config(self):
        """As a client sees it, behind everything that was committed before. Nobody keeps its session alive while other
        things are waited for, so one that was lost is replaced."""
        try:
            if self.session:
                self.session.sync()
        except SessionLost:
            self.session = None
        if self.session is None:
            self.session = Session(self.it.ports, 60_000, auth=SUPER_PASSWORD)
            self.session.connect()
            self.session.sync()
        data, stat = self.session.get("/zookeeper/config")
        text = data.decode()
        version = int(text.rpartition("version=")[2], 16)
        if stat.version != -1 or stat.mzxid != version:
            raise Failed(f"/zookeeper/config of version {version:#x} has {stat}")
        return text

    def change(self, through=None, **how):
        """One reconfiguration; returns when all members serve with it, and were seen to do so by clients."""
        it = self.it
        self.config()
        session = self.session
        if through:
            session = Session(lambda: [through.client_port], 30_000, auth=SUPER_PASSWORD)
            session.connect()
        self.session.get("/zookeeper/config", watch=True)
        self.session.take_events()
        reconnects = self.session.reconnects
        want = {member.line for member in it.members}
        try:
            result = session.reconfig(**how)
            if isinstance(result, int):
                raise Failed(f"reconfig {how} was answered {result}")
            text, stat = result
            if lines_of(text) != want or not text.endswith(f"\nversion={stat.mzxid:x}"):
                raise Failed(f"reconfig {how} was answered {text} with {stat}")
        except Unknown:
            pass  # the leader has left with the answer, or the member that the client was at
        if through:
            session.lose()
        eventually(lambda: f"the configuration {want}, a client sees {self.config()}",
                   lambda: lines_of(self.config()) == want)
        if self.session.reconnects == reconnects:
            events = [event[:2] for event in self.session.take_events()]
            if events != [(DATA_CHANGED, "/zookeeper/config")]:
                raise Failed(f"the watch of /zookeeper/config has brought {events}")
        eventually(lambda: "the configuration everywhere: " + ", ".join(
            f"{member}: {member.word('conf')}" for member in it.members), self.everywhere)
        it.cluster.wait_serving(*it.members)
        it.load.progress(3)

    def everywhere(self):
        want = {member.line for member in self.it.members}
        return all(lines_of(member.word("conf") or "") == want for member in self.it.members)

    def guest(self, kind, role="participant"):
        """A new server that knows the members and itself; it serves, and is no member yet."""
        server = self.it.cluster.add(kind, role)
        server.configure([*self.it.members, server])
        server.start()
        self.it.cluster.wait_serving_as_guest(server)
        return server

    def join(self, server, through=None):
        self.it.members.append(server)
        self.change(through, joining=server.line)
        return server

    def leave(self, server, through=None):
        self.it.members.remove(server)
        self.change(through, leaving=str(server.sid))

    def gone(self, server):
        server.stop()
        del self.it.cluster.servers[server.sid]

    def end(self):
        self.config()
        self.session.close()
        self.it.end()


def followers(it):
    return [server for server in it.cluster.followers() if server in it.members]


@scenario(servers=3)
def reconfig_voter_joins(it):
    """A voter joins: first as a guest, whose acknowledgements do not count, then with a vote that is needed."""
    our = Changing(it)
    fourth = our.join(our.guest(it.next_kind), through=followers(it)[0])
    it.same()
    # With it three of four are left, and every one of them is needed.
    gone = next(server for server in followers(it) if server is not fourth)
    gone.kill()
    it.load.progress(5)
    gone.start()
    it.cluster.wait_serving()
    # It leads if it has to.
    fifth = our.join(our.guest(it.next_kind))
    it.same()
    it.cluster.leader().kill()
    it.cluster.leader()
    it.load.progress(5)
    for server in it.cluster:
        if server.process is None or not server.running():
            server.kill()
            server.start()
    it.cluster.wait_serving()
    assert fifth in it.members
    our.end()


@scenario(servers=3)
def reconfig_observer_joins(it):
    """An observer joins, gets a vote, gives it back, and leaves."""
    our = Changing(it)
    guest = our.join(our.guest(it.next_kind, "observer"))
    it.same()
    guest.role = "participant"
    our.change(through=guest, joining=guest.line)
    it.same()
    guest.role = "observer"
    our.change(joining=guest.line)
    it.same()
    our.leave(guest)
    our.gone(guest)
    our.end()


@scenario(servers=3, observers=1)
def reconfig_voter_leaves(it):
    """Who was removed goes on serving without a vote until it is stopped; it can come back."""
    our = Changing(it)
    leaves = followers(it)[-1]
    our.leave(leaves, through=leaves)
    it.load.progress(3)
    if leaves.mode() not in ("follower", None):
        raise Failed(f"{leaves} was removed, and is {leaves.mode()}")
    it.cluster.wait_serving_as_guest(leaves)
    our.join(leaves)
    it.same()
    our.leave(leaves)
    our.gone(leaves)
    our.end()


@scenario(servers=3)
def reconfig_leader_leaves(it):
    """The leader is removed: another one takes over without an election, and loses nothing."""
    our = Changing(it)
    our.join(our.guest(it.next_kind))
    for _ in range(2):
        leader = it.cluster.leader()
        our.leave(leader)
        new = eventually("a leader among the members", lambda: next(
            (server for server in it.members if server.mode() == "leader"), None))
        if new is leader:
            raise Failed(f"{leader} was removed, and leads")
        it.cluster.wait_serving_as_guest(leader)
        it.same()
        our.gone(leader)
    our.end()


@scenario(servers=3, observers=1)
def reconfig_full(it):
    """All members at once, with another voter in the place of one, and the observer with a vote."""
    our = Changing(it)
    guest = our.guest(it.next_kind)
    leaves = followers(it)[0]
    it.members.remove(leaves)
    it.members.append(guest)
    observer = it.cluster.observers()[0]
    version = int(our.config().rpartition("version=")[2], 16)
    our.change(members=",".join(server.line for server in it.members), version=version)
    it.same()
    our.gone(leaves)
    observer.role = "participant"
    our.change(members="\n".join(server.line for server in it.members))
    it.same()
    our.end()


@scenario(servers=3)
def reconfig_ports(it):
    """Servers move to other ports while they run: for clients, for elections, for learners; the leader as the last."""
    our = Changing(it)

    def refused(port):
        return ask(port, "ruok", 1) in (None, "")

    for server in followers(it):
        before = server.client_port
        server.client_port = free_port()
        our.change(joining=server.line)
        eventually(f"nobody listens on {before}", lambda: refused(before))
        server.election_port = free_port()
        our.change(joining=server.line)
        server.quorum_port = free_port()
        our.change(joining=server.line)
    leader = it.cluster.leader()
    leader.client_port, leader.election_port = free_port(), free_port()
    our.change(joining=leader.line)
    # A leader at another address is another leader: it hands over.
    leader.quorum_port = free_port()
    our.change(joining=leader.line)
    it.same()
    # Elections find everybody where they are now.
    it.cluster.leader().kill()
    it.cluster.leader()
    it.load.progress(3)
    for server in it.cluster:
        if not server.running():
            server.kill()
            server.start()
    it.cluster.wait_serving()
    our.end()


@scenario(servers=3)
def reconfig_files(it):
    """What a server wrote another implementation starts from, and the other way round, with the data and without."""
    our = Changing(it)
    guest = our.join(our.guest(it.next_kind))

    def check(server):
        """The files, as the original writes them."""
        version = int(our.config().rpartition("version=")[2], 16)
        with open(server.config) as file:
            static = file.read().splitlines()
        pointer = f"dynamicConfigFile={os.path.realpath(server.config)}.dynamic.{version:x}"
        if static[-1] != pointer:
            raise Failed(f"the last line of {server}'s zoo.cfg is {static[-1]}, not {pointer}")
        keys = {line.partition("=")[0] for line in static}
        wrong = [key for key in keys if re.match(r"server\.|group|weight|peerType|clientPort", key)]
        missing = set(it.cluster.settings) - keys
        if wrong or missing:
            raise Failed(f"zoo.cfg of {server} has {wrong} and lacks {missing}")
        with open(f"{server.config}.dynamic.{version:x}") as file:
            dynamic = file.read()
        wanted = "\n".join(sorted(member.line for member in it.members))
        if dynamic != wanted:
            raise Failed(f"the dynamic file of {server} has {dynamic!r}, not {wanted!r}")
        with open(server.config + ".bak") as file:
            if "server.1=" not in file.read():
                raise Failed(f"the copy of {server}'s zoo.cfg has no members")
        if os.path.exists(server.config + ".dynamic.next"):
            raise Failed(f"{server} keeps a proposal that is in force")

    for server in it.cluster:
        eventually(f"{server} has written its files", lambda: not os.path.exists(server.config + ".dynamic.next"))
        check(server)
    # Another implementation takes over with these files.
    for server in followers(it):
        before = server.kind
        other = "java-3.9" if before == "ferrokeeper" else "ferrokeeper"
        for kind in (other, before):
            server.stop()
            server.take_over(kind)
            server.start()
            it.cluster.wait_serving()
        check(server)
    # All at once come back as those that they are, and not as those that zoo.cfg once said.
    it.load.pause()
    for server in it.cluster:
        server.kill()
    for server in it.cluster:
        server.start()
    it.cluster.wait_serving()
    if not our.everywhere():
        raise Failed(f"after a restart the configuration is {our.config()}")
    it.load.resume()
    assert guest in it.members
    our.end()


def java_client(port, *commands):
    """What the original's own client prints when it is given these commands, one after the other."""
    done = subprocess.run(
        ["java", "-cp", os.environ["CLASSPATH_JAVA_3_9"], "org.apache.zookeeper.ZooKeeperMain", "-server", f"127.0.0.1:{port}"],
        input="".join(command + "\n" for command in ("addauth digest " + SUPER_PASSWORD, *commands, "quit")),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    return done.stdout


@scenario(servers=3)
def reconfig_java_client(it):
    """The original's client changes the members in each of its ways, is told of it, and of what is wrong with it."""
    our = Changing(it)
    guest = our.guest(it.next_kind)
    port = followers(it)[0].client_port

    def says(printed, *wanted):
        missing = [text for text in wanted if text not in printed]
        if missing:
            raise Failed(f"the client does not say {missing}, but:\n{printed}")

    printed = java_client(port, f"reconfig -add {guest.line}", "config")
    it.members.append(guest)
    says(printed, "Committed new configuration:", *(member.line for member in it.members))
    eventually("the configuration everywhere", our.everywhere)
    version = our.config().rpartition("version=")[2]
    watching = java_client(
        port, "config -w", f"reconfig -remove {guest.sid} -v 1", "reconfig -add nonsense", f"reconfig -remove {guest.sid} -v {version}")
    it.members.remove(guest)
    says(watching, "WatchedEvent state:SyncConnected type:NodeDataChanged path:/zookeeper/config", "Committed new configuration:",
         *(member.line for member in it.members))
    eventually("the configuration everywhere", our.everywhere)
    it.members.append(guest)
    printed = java_client(port, "reconfig -members " + ",".join(member.line for member in it.members), "config -c")
    says(printed, "Committed new configuration:", guest.line,
         *(f"127.0.0.1:{member.client_port}" for member in it.members))
    eventually("the configuration everywhere", our.everywhere)
    it.same()
    our.leave(guest)
    our.gone(guest)
    our.end()


class Curator(JavaClient):
    """Curator, whose ensemble tracker reads the configuration and watches it; with a session of its own."""

    def __init__(self, it):
        super().__init__("CuratorClient.java", os.environ["CLASSPATH_CURATOR"],
                         ["servers", "config", "created", "owner", "session", "error"], it.cluster)
        self.it = it
        self.hear("state")
        self.must("create /curator PERSISTENT", "created /curator")
        self.must("create /curator/mine EPHEMERAL", "created /curator/mine")
        self.session = self.ask("session").split()[1]
        self.writes = 0

    def must(self, command, wanted):
        found = self.ask(command)
        if found != wanted:
            raise Failed(f"Curator is told {command}, and says {found}, expected {wanted}; {self.complaints()}")

    def follows(self):
        """It would connect to the members and to nobody else, knows their parts, and writes with the session that it had."""
        members = self.it.members
        wanted = "servers " + ",".join(sorted(f"127.0.0.1:{member.client_port}" for member in members))
        eventually(lambda: f"Curator's servers: {self.ask('servers')}, expected {wanted}; {self.complaints()}",
                   lambda: self.ask("servers") == wanted)
        ids = {role: ", ".join(str(member.sid) for member in sorted(members, key=lambda member: member.sid)
                               if member.role == role) for role in ("participant", "observer")}
        # It hears of a member with another part later than of one that is new, since the list of servers stays.
        parts = f"voters [{ids['participant']}] observers [{ids['observer']}]"
        eventually(lambda: f"Curator's configuration: {self.ask('config')}, expected {parts}; {self.complaints()}",
                   lambda: self.ask("config").endswith(parts))
        self.writes += 1
        answer = self.ask(f"create /curator/{self.writes} PERSISTENT")
        # Where the connection broke it asks once more.
        if answer != f"created /curator/{self.writes}" and "NodeExists" not in answer:
            raise Failed(f"Curator's write: {answer}; {self.complaints()}")
        self.must("owner /curator/mine", f"owner {self.session}")

    def complains_not(self):
        """The tracker logs what it cannot read."""
        found = [line for line in self.complaints().splitlines() if "EnsembleTracker" in line]
        if found:
            raise Failed(f"Curator's tracker says {found}")


@scenario(servers=3)
def reconfig_curator(it):
    """Curator's ensemble tracker follows the members, and its client goes on when none of the first is left."""
    our = Changing(it)
    curator = Curator(it)
    try:
        curator.follows()
        first = list(it.members)
        watching = our.join(our.guest(it.next_kind, "observer"))
        curator.follows()
        for _ in range(2):
            our.join(our.guest(it.next_kind))
            curator.follows()
        for server in first[:-1]:
            our.leave(server)
            our.gone(server)
            curator.follows()
        watching.role = "participant"
        our.change(joining=watching.line)
        curator.follows()
        our.leave(first[-1])
        our.gone(first[-1])
        curator.follows()
        moved = followers(it)[0]
        moved.client_port = free_port()
        our.change(joining=moved.line)
        curator.follows()
        it.same()
        curator.complains_not()
    finally:
        curator.end()
    our.end()


def script_status(server):
    """What the original's `zkServer.sh status` says of a server, by its configuration: (exit code, mode or what it said)."""
    scripts = os.environ["ZK_SCRIPTS"]
    environment = dict(os.environ, ZOO_LOG_DIR=os.path.join(server.directory, "script-logs"), JMXDISABLE="true")
    done = subprocess.run([os.path.join(scripts, "zkServer.sh"), "status", server.config], env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    found = re.search(r"^Mode: (.*)$", done.stdout, re.M)
    return done.returncode, found.group(1) if found else done.stdout


@scenario(servers=3, observers=1)
def reconfig_script_status(it):
    """The original's script finds each server through the files that servers write, and says what it is."""
    our = Changing(it)

    def check():
        for server in it.members:
            found = script_status(server)
            if found != (0, server.mode()):
                raise Failed(f"zkServer.sh status of {server}, which is {server.mode()}: {found}")

    check()
    our.join(our.guest(it.next_kind))
    check()
    moved = followers(it)[0]
    moved.client_port = free_port()
    our.change(joining=moved.line)
    check()
    moved.stop()
    status, said = script_status(moved)
    if status != 1 or "It is probably not running" not in said:
        raise Failed(f"zkServer.sh status of {moved}, which does not run: {status}, {said}")
    moved.start()
    it.cluster.wait_serving()
    our.end()


@scenario(servers=1)
def reconfig_from_one(it):
    """A single server that may grow does, to three and back."""
    our = Changing(it)
    second = our.join(our.guest(it.next_kind))
    third = our.join(our.guest(it.next_kind))
    it.same()
    for server in (third, second):
        if it.cluster.leader() is server:
            server = next(member for member in it.members if member is not server)
        our.leave(server)
        our.gone(server)
        it.load.progress(3)
    our.end()


@scenario(servers=3)
def reconfig_killed(it):
    """Servers die in the midst of changes. Each change happens or does not, everywhere alike."""
    our = Changing(it)
    guest = our.guest(it.next_kind)
    for turn in range(6):
        joins = guest not in it.members
        victim = it.cluster.leader() if turn % 2 == 0 else followers(it)[0]
        session = Session(it.ports, 30_000, auth=SUPER_PASSWORD)
        session.connect()
        if joins:
            it.members.append(guest)
        else:
            it.members.remove(guest)
        how = {"joining": guest.line} if joins else {"leaving": str(guest.sid)}
        session.send_reconfig(**how)
        victim.kill()
        session.lose()
        victim.start()
        # Done, or to be done once more.
        want = {member.line for member in it.members}
        eventually("all serve", lambda: all(server.mode() for server in it.cluster))
        if lines_of(our.config()) != want:
            try:
                result = our.session.reconfig(**how)
                if isinstance(result, int):
                    raise Failed(f"the second time, {how} is answered {result}")
            except Unknown:
                pass
        eventually(lambda: f"the configuration {want}, a client sees {our.config()}",
                   lambda: lines_of(our.config()) == want)
        eventually("the configuration everywhere", our.everywhere)
        it.load.progress(2)
    if guest in it.members:
        our.leave(guest)
    our.gone(guest)
    our.end()


# Requests and their answers, in an ensemble of servers 1 to 3 whose addresses are the loopback's. `{2}` is server 2's
# line, `{2:observer}` the same as an observer's, `{v}` the version in force.
REFUSED = [
    # Nobody but super may, and only if all else is right.
    (None, {"leaving": "1"}, -102),
    (None, {"members": "{1},{2},{3}"}, -102),
    (None, {}, -102),
    (None, {"leaving": "x"}, -5),
    (None, {"leaving": "1,2,3"}, -8),
    (None, {"leaving": "1", "version": 12345}, -103),
    (None, {"joining": "server.9=127.0.0.1:10:11;12,server.8=127.0.0.1:13:14;15,server.7=127.0.0.1:16:17;18"}, -13),
    ("super", {"leaving": "1", "version": 0}, -103),
    ("super", {"leaving": "1 2"}, -5),
    ("super", {"leaving": "x", "version": 1}, -103),
    ("super", {"joining": "server.9=nonsense"}, -8),
    ("super", {"joining": "server.9"}, -8),
    ("super", {"joining": "server.9="}, -8),
    ("super", {"joining": "server.9=127.0.0.1:10:11;12=13"}, -8),
    ("super", {"joining": "server.9=127.0.0.1:10:11"}, -8),
    ("super", {"joining": "server.9=127.0.0.1:10:10;12"}, -8),
    ("super", {"joining": "server.9=127.0.0.1:10;12"}, -8),
    ("super", {"joining": "server.9=127.0.0.1:10:11:voter;12"}, -8),
    ("super", {"joining": "server.9=127.0.0.1:ten:11;12"}, -8),
    ("super", {"joining": "server.9=127.0.0.1:10:11;x"}, -8),
    ("super", {"joining": "server.9=127.0.0.1:10:70000;12"}, -5),
    ("super", {"joining": "server.9=127.0.0.1:10:11;70000"}, -5),
    ("super", {"joining": "server.9=127.0.0.1:10:-1;12"}, -5),
    ("super", {"joining": "server.9=127.0.0.1:10:99999999999;12"}, -8),
    ("super", {"joining": "server.x=127.0.0.1:10:11;12"}, -5),
    ("super", {"joining": "server.9=127.0.0.1:10:11|127.0.0.2:10:11;12"}, -8),
    ("super", {"joining": "server.9=127.0.0.1:10:11;12;13"}, -8),
    ("super", {"joining": "server.9=[::1:10:11;12"}, -8),
    ("super", {"joining": "server.9=10.9.9.9:10:11;12,server.8=10.9.9.9:11:13;14"}, -8),
    ("super", {"members": ""}, -5),
    ("super", {"members": "{1:observer}"}, -5),
    ("super", {"members": "{1},{2},x=y"}, -8),
    ("super", {"members": "{1},{2},server.x=127.0.0.1:10:11"}, -5),
    ("super", {"members": "{1},{2},server.9=127.0.0.1:10"}, -8),
    ("super", {"members": "{1},{2},version=zzz"}, -5),
    ("super", {"members": "{1},{2},group.1=1"}, -8),
    ("super", {"members": "{1},{2},group.1=1:2,group.2=2"}, -8),
    ("super", {"members": "{1},{2},group.1=1:2:7"}, -5),
    ("super", {"members": "{1},{2},groups=1:2"}, -5),
    ("super", {"members": "{1},{2},weight.1=1"}, -8),
    ("super", {"members": "{1},server.9=127.0.0.1:10:11;12"}, -13),
    ("super", {"members": "{1},server.9=127.0.0.1:10:11;12", "joining": "x"}, -13),
]


def ask_all(it, requests, session_of, lines):
    """All that are answered otherwise than expected, at every server."""
    wrong = []
    for server in it.members:
        for who, how, expected in requests:
            def filled(text):
                return re.sub(r"\{(\d)(:observer)?\}", lambda m: lines[int(m[1])].replace(
                    ":participant", m[2] or ":participant"), text)
            how = {key: filled(value) if isinstance(value, str) else value for key, value in how.items()}
            result = session_of(server, who).reconfig(**how)
            found = result if isinstance(result, int) else 0
            if found != expected:
                wrong.append(f"{server}: {how} of {who} is answered {found}, expected {expected}")
    return wrong


@scenario(servers=3)
def reconfig_refused(it):
    """What is refused, with which code, at leader and followers alike."""
    it.cluster.start()
    sessions = {}

    def session_of(server, who):
        if (server, who) not in sessions:
            session = Session(lambda: [server.client_port], 30_000, auth=SUPER_PASSWORD if who else None)
            session.connect()
            sessions[server, who] = session
        return sessions[server, who]

    lines = {server.sid: server.line for server in it.members}
    wrong = ask_all(it, REFUSED, session_of, lines)
    # In groups, only all members together can be replaced.
    first = it.members[0]
    grouped = ",".join([*lines.values(), "group.1=1:2:3"])
    result = session_of(first, "super").reconfig(members=grouped)
    if isinstance(result, int):
        wrong.append(f"groups are answered {result}")
    wrong += ask_all(it, [("super", {"leaving": "1"}, -8), ("super", {"joining": lines[1]}, -8), (None, {}, -8)],
                     session_of, lines)
    result = session_of(first, "super").reconfig(members=",".join(lines.values()))
    if isinstance(result, int):
        wrong.append(f"no groups any more are answered {result}")
    if wrong:
        raise Failed("\n".join(wrong))
    for session in sessions.values():
        session.close()


@scenario(servers=3, standaloneEnabled="true")
def reconfig_refused_below_two(it):
    """Where a server alone would be standalone, two voters have to be left; and the permission may be given to others."""
    it.cluster.start()
    sessions = {}

    def session_of(server, who):
        if (server, who) not in sessions:
            session = Session(lambda: [server.client_port], 30_000, auth=SUPER_PASSWORD if who else None)
            session.connect()
            sessions[server, who] = session
        return sessions[server, who]

    lines = {server.sid: server.line for server in it.members}
    wrong = ask_all(it, [
        ("super", {"leaving": "1,2"}, -8),
        ("super", {"members": "{1}"}, -8),
        ("super", {"members": ""}, -8),
        ("super", {"members": "{1},{2:observer}"}, -5),
        ("super", {"members": "{1:observer}"}, -5),
    ], session_of, lines)
    if wrong:
        raise Failed("\n".join(wrong))
    for session in sessions.values():
        session.close()


@scenario(servers=3, reconfigEnabled="false")
def reconfig_off(it):
    """Where the members never change everybody is told so, and no file is touched."""
    it.cluster.start()
    for server in it.members:
        session = Session(lambda: [server.client_port], 30_000, auth=SUPER_PASSWORD)
        session.connect()
        for how in ({"leaving": "1"}, {"leaving": "x", "version": 3}, {"members": "nonsense"}):
            result = session.reconfig(**how)
            if result != -123:
                raise Failed(f"{server} answers {how} with {result}")
        data, stat = session.get("/zookeeper/config")
        if not data.endswith(b"\nversion=0") or stat.mzxid != 0:
            raise Failed(f"{server} has {data} with {stat}")
        session.close()
    for server in it.members:
        found = sorted(name for name in os.listdir(server.directory) if name.startswith("zoo.cfg"))
        if found != ["zoo.cfg"]:
            raise Failed(f"beside zoo.cfg {server} has {found}")


@scenario(servers=3, skipACL="yes")
def reconfig_skip_acl(it):
    """Without access control anybody may change the members."""
    it.cluster.start()
    session = Session(it.ports, 30_000)
    session.connect()
    result = session.reconfig(leaving="1")
    if isinstance(result, int):
        raise Failed(f"without access control reconfig is answered {result}")
    session.close()
