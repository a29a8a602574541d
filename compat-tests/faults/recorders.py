"""Clients that write down what they ask and what they are told. They judge nothing: that is the checkers' work, later.

A record is a dictionary: who (`client`, `session`), what (`op`), from when to when (`t0`, `t1`; without an answer `t1` is
None), and what the operation adds. Times are seconds of one clock."""

import json
import random
import threading
import time
import traceback
from collections import defaultdict

import client
from client import (BAD_VERSION, CREATED, DELETED, EPHEMERAL, MULTI, RECURSIVE, SEQUENTIAL, SET, Session,
                    SessionLost, Stat, Unknown, Violation, multi_body, set_body)

from wire import Lost

SYSTEM_ERROR = -1
DIRECTORIES = ("/r", "/q", "/lock", "/e", "/w", "/m")
OPERATIONS_PER_KEY = 120
# How long there may be no server is judged by whoever ends the faults.
client.PATIENCE = 3600
READ_TIMEOUT_S = 1.0  # after which a client looks for another server


class History:
    """All records of a run, in memory and in a file."""

    def __init__(self, path):
        self.file, self.lock, self.records = open(path, "w"), threading.Lock(), []

    def add(self, **record):
        with self.lock:
            self.records.append(record)
            self.file.write(json.dumps(record) + "\n")
        return record

    def close(self):
        with self.lock:
            self.file.close()


class Tracked(Session):
    """A session that knows when it was last heard of: the request that was answered was sent at `heard`."""

    def __init__(self, load, timeout_ms):
        super().__init__(load.addresses, timeout_ms, first=load.random.randrange(99))
        self.read_timeout_s = READ_TIMEOUT_S
        self.heard = None
        self.kept = []  # events of connections that are gone

    def lose(self):
        self.kept += super().take_events()
        super().lose()

    def take_events(self):
        events, self.kept = self.kept + super().take_events(), []
        return events

    def connect_to(self, port):
        begun = time.monotonic()
        super().connect_to(port)
        self.heard = begun

    def attempt(self, opcode, body):
        if self.connection is None:
            self.connect()
        begun = time.monotonic()
        error, reply = super().attempt(opcode, body)
        if error == SYSTEM_ERROR:
            # A server that has no room left. Somebody else may have, soon.
            time.sleep(0.1)
            raise Lost("refused")
        self.heard = begun
        return error, reply


class Client(threading.Thread):
    """One client after the other in the same thread: `begin` with a session, then `step` until the load ends. A session
    that is lost is written down, and a new one goes on."""

    timeout_ms = 20_000
    pace_s = 0.01
    session_of = Tracked

    def __init__(self, load, number):
        super().__init__(name=f"{type(self).__name__.lower()}-{number}", daemon=True)
        self.load, self.number = load, number
        self.random = random.Random(f"{load.seed}/{self.name}")
        self.steps, self.problem, self.session, self.last_step = 0, None, None, time.monotonic()

    def run(self):
        try:
            while not self.load.stopping:
                self.open()
                try:
                    self.begin()
                    while not self.load.stopping:
                        if self.load.resting:
                            self.rest()
                        else:
                            self.step()
                            self.steps += 1
                            self.last_step = time.monotonic()
                            time.sleep(self.pace_s)
                except SessionLost:
                    self.lost(self.session)
        except Exception:
            self.problem = traceback.format_exc()

    def open(self):
        """A new session, with an ephemeral znode of its own."""
        while True:
            self.session = self.session_of(self.load, self.timeout_ms)
            try:
                self.session.connect()
                self.ephemeral(self.session)
                return
            except SessionLost:
                self.lost(self.session)

    def ephemeral(self, session):
        """(path, czxid), or None when it is unknown whether there is one."""
        begun = time.monotonic()
        path = None
        try:
            path, stat = session.create("/e/n-", self.name.encode(), EPHEMERAL | SEQUENTIAL)
        except Unknown:
            pass
        self.record("ephemeral", begun, path is not None, session, path=path, timeout=session.session.timeout / 1000)

    def lost(self, session):
        """The servers say that the session has ended, which nobody asked for."""
        self.load.history.add(client=self.name, session=session.id, op="lost", t0=session.heard, t1=time.monotonic(),
                              timeout=session.session.timeout / 1000)
        session.lose()

    def record(self, op, begun, answered, session=None, **more):
        session = session or self.session
        return self.load.history.add(client=self.name, session=session.id, op=op, t0=begun,
                                     t1=time.monotonic() if answered else None, **more)

    def rest(self):
        self.session.ping()
        time.sleep(0.2)

    def begin(self):
        pass

    def step(self):
        raise NotImplementedError

    def synced(self, read):
        """(begun, result) of a read behind a sync on one connection, or None."""
        begun, reconnects = time.monotonic(), self.session.reconnects
        self.session.sync()
        result = read()
        holds = reconnects == self.session.reconnects and self.load.sync_holds(self.session.port)
        return (begun, result) if holds else None


class Register(Client):
    """Writes, compares and sets, and reads keys that others write as well."""

    def begin(self):
        self.version = {}

    def step(self):
        key = f"/r/k{self.load.operations // OPERATIONS_PER_KEY}-{self.random.randrange(2)}"
        self.load.operations += 1
        if key not in self.version:
            self.session.ensure(key)
            self.version[key] = 0
        kind = self.random.choice(["write", "write", "cas", "cas", "read", "read", "get"])
        if kind == "read":
            found = self.synced(lambda: self.session.get(key))
            if found:
                begun, (data, stat) = found
                self.version[key] = stat.version
                self.record("read", begun, True, key=key, value=data.decode(), version=stat.version,
                            zxid=self.session.last_zxid)
            return
        begun = time.monotonic()
        if kind == "get":
            data, stat = self.session.get(key)
            self.record("get", begun, True, key=key, value=data.decode(), version=stat.version,
                        zxid=self.session.last_zxid)
            return
        value = f"{self.name}.{self.steps}.{self.session.id:x}"
        expected = self.version[key] if kind == "cas" else -1
        result = None
        try:
            result = self.session.set(key, value.encode(), expected)
        except Unknown:
            pass
        version = result.version if isinstance(result, Stat) else None
        if version is not None:
            self.version[key] = version
        self.record("set", begun, result is not None, key=key, value=value, expected=expected, version=version,
                    refused=result == BAD_VERSION, zxid=self.session.last_zxid if result is not None else None)


class Sequencer(Client):
    """Creates sequential znodes, each with data of its own."""

    def step(self):
        data = f"{self.name}.{self.steps}.{self.session.id:x}"
        begun = time.monotonic()
        path = czxid = None
        try:
            path, stat = self.session.create("/q/s-", data.encode(), SEQUENTIAL)
            czxid = stat.czxid
        except Unknown:
            pass
        self.record("sequence", begun, path is not None, path=path, data=data, zxid=czxid)
        time.sleep(0.02)


class Locker(Client):
    """The lock recipe; who holds the lock writes the zxid of its place in the queue, which fences off who held it before."""

    def step(self):
        token = f"{self.name}-{self.session.id:x}-{self.steps}-"
        place = self.enter(token)
        if not self.wait_for_turn(place):
            return
        fence = self.session.exists(f"/lock/{place}").czxid
        begun = time.monotonic()
        for _ in range(2):
            self.write(fence)
        data, stat = self.session.get("/fence")
        self.record("fence", begun, True, fence=fence, seen=int(data), zxid=stat.mzxid)
        self.record("hold", begun, True, fence=fence, place=place)
        self.leave(place)

    def write(self, fence):
        while True:
            begun = time.monotonic()
            try:
                stat = self.session.set("/fence", str(fence).encode())
                self.record("fence", begun, True, fence=fence, seen=None, zxid=stat.mzxid)
                return
            except Unknown:
                pass

    def enter(self, token):
        while True:
            try:
                return self.session.create(f"/lock/{token}", b"", EPHEMERAL | SEQUENTIAL)[0].rsplit("/", 1)[1]
            except Unknown:
                self.session.sync()
                found = [name for name in self.session.children("/lock") if name.startswith(token)]
                if found:
                    return found[0]

    def wait_for_turn(self, place):
        """False when the load ends first."""
        number = lambda name: name[-10:]
        while True:
            names = sorted(self.session.children("/lock"), key=number)
            if place not in names:
                raise Violation(f"/lock/{place} of the live session {self.session.id:#x} is gone")
            if names[0] == place:
                return True
            if self.load.stopping or self.load.resting:
                self.leave(place)
                return False
            if self.session.exists(f"/lock/{names[names.index(place) - 1]}", watch=True):
                self.session.wait_events(0.5)
                self.session.take_events()

    def leave(self, place):
        while True:
            try:
                self.session.delete(f"/lock/{place}")
                return
            except Unknown:
                pass


class Visitor(Client):
    """Sessions that come and go, each with an ephemeral znode: closed, or left to expire."""

    def step(self):
        guest = Tracked(self.load, 4000)
        try:
            guest.connect()
            self.ephemeral(guest)
            until = time.monotonic() + self.random.random()
            while time.monotonic() < until:
                guest.ping()
                time.sleep(0.1)
            if self.random.random() < 0.6:
                begun = time.monotonic()
                self.record("close", begun, guest.close(), guest)
            else:
                self.load.history.add(client=self.name, session=guest.id, op="left", t0=guest.heard, t1=time.monotonic())
        except SessionLost:
            self.lost(guest)
        finally:
            guest.lose()
        self.session.ping()
        time.sleep(0.2)


class Observer(Client):
    """Lists the ephemeral znodes."""

    def step(self):
        found = self.synced(lambda: self.session.children("/e"))
        if found:
            self.record("list", found[0], True, names=found[1], zxid=self.session.last_zxid)
        time.sleep(0.1)


class Emitter(Client):
    """Creates and deletes znodes of unique names, for the watchers."""

    def step(self):
        path = f"/w/{self.name}.{self.steps}.{self.session.id:x}"
        for kind in (CREATED, DELETED):
            begun, zxid = time.monotonic(), None
            try:
                result = self.session.create(path) if kind == CREATED else self.session.delete(path)
                if not isinstance(result, int) or result == 0:
                    zxid = self.session.last_zxid
            except Unknown:
                pass
            self.record("change", begun, zxid is not None, kind=kind, path=path, zxid=zxid)


class Streaming(Tracked):
    """Keeps events and answers in the order in which they come, for each connection."""

    def connect_to(self, port):
        self.stream = []
        super().connect_to(port)
        self.connection.event = self.event
        self.reply()

    def event(self, reply, zxid):
        kind, _state = reply.take(">ii")
        path = reply.text()
        self.connection.events.append((kind, path, zxid))
        self.stream.append(["event", kind, path, zxid])

    def reply(self):
        self.stream.append(["reply", self.last_zxid])

    def attempt(self, opcode, body):
        result = super().attempt(opcode, body)
        self.reply()
        return result


class Watcher(Client):
    """A persistent recursive watch. A connection's events and answers are one record."""

    pace_s = 0.05
    session_of = Streaming

    def begin(self):
        self.watch()

    def watch(self):
        """A span begins with an answer after the watch was set, on the same connection."""
        self.seen = None
        while self.seen != self.session.reconnects:
            self.session.watch("/w", RECURSIVE)
            self.session.watched.clear()
            self.seen = self.session.reconnects
            self.session.stream.clear()
            self.session.get("/w")
        stream = self.session.stream
        while stream[0][0] == "event":
            stream.pop(0)

    def step(self):
        stream = self.session.stream
        self.session.get("/w")
        if self.session.reconnects != self.seen:
            self.note(stream)
            self.watch()
        elif len(stream) > 2000:
            self.note(stream)
            # The next span begins with the answer that ends this one.
            stream[:] = [["reply", self.session.last_zxid]]

    def note(self, stream):
        # What came after the last answer belongs to nothing that can be judged.
        last = max((at for at, entry in enumerate(stream) if entry[0] == "reply"), default=-1)
        self.record("span", time.monotonic(), True, stream=stream[:last + 1])

    def rest(self):
        self.step()
        time.sleep(0.1)

    def run(self):
        super().run()
        if self.problem is None and self.session.reconnects == self.seen:
            self.note(self.session.stream)


class OneShot(Client):
    """A data watch, renewed after its event; plain reads meanwhile must not overtake the event."""

    path = "/fence"

    def begin(self):
        self.arm()

    def arm(self):
        while True:
            begun, reconnects = time.monotonic(), self.session.reconnects
            self.session.watched = []
            _, stat = self.session.get(self.path, watch=True)
            # What came before the answer is of a watch that was set before.
            self.session.take_events()
            if reconnects == self.session.reconnects:
                break
        # After a reconnection the watch is renewed by what the client has seen, not by what is there.
        self.session.watched = [(self.path, "data")]
        self.armed = self.record("arm", begun, True, version=stat.version, zxid=self.session.last_zxid)

    def step(self):
        if self.random.random() < 0.5:
            self.session.wait_events(0.3)
        begun, reconnects = time.monotonic(), self.session.reconnects
        _, stat = self.session.get(self.path)
        if reconnects == self.session.reconnects:
            events = [event[:2] for event in self.session.take_events()]
            self.record("watched", begun, True, armed=self.armed["version"], events=events, version=stat.version)
            if events:
                self.arm()

    def rest(self):
        self.step()
        time.sleep(0.1)


class Pair(Client):
    """Two znodes that are only ever written together, and read one after the other."""

    def step(self):
        begun = time.monotonic()
        if self.random.random() < 0.5:
            value = f"{self.name}.{self.steps}.{self.session.id:x}".encode()
            parts = [(SET, set_body("/m/a", value, -1)), (SET, set_body("/m/b", value, -1))]
            answered = True
            try:
                self.session.write(MULTI, multi_body(parts))
            except Unknown:
                answered = False
            self.record("both", begun, answered, value=value.decode(),
                        zxid=self.session.last_zxid if answered else None)
            return
        (a, a_stat), (b, b_stat) = self.session.get("/m/a"), self.session.get("/m/b")
        self.record("pair", begun, True, a=[a.decode(), a_stat.mzxid, a_stat.version],
                    b=[b.decode(), b_stat.mzxid, b_stat.version])


class Load:
    """All clients, on all servers all the time."""

    KINDS = [Register] * 4 + [Sequencer] * 2 + [Locker] * 3 + [Visitor] * 2 + [Observer] + [Emitter] + [Watcher] * 2 \
        + [OneShot] + [Pair] * 2

    def __init__(self, addresses, history, seed, sync_holds):
        """`sync_holds` says of an address whether a read there sees what was acknowledged before the sync before it."""
        self.addresses, self.history, self.seed, self.sync_holds = addresses, history, seed, sync_holds
        self.random = random.Random(f"{seed}/load")
        self.operations = 0
        self.stopping = self.resting = False
        self.clients, numbers = [], defaultdict(int)
        for kind in self.KINDS:
            self.clients.append(kind(self, numbers[kind]))
            numbers[kind] += 1

    def start(self):
        session = Session(self.addresses)
        for path in DIRECTORIES:
            session.ensure(path)
        for path in ("/m/a", "/m/b"):
            session.ensure(path)
        session.ensure("/fence", b"0")
        session.close()
        for client in self.clients:
            client.start()

    def problems(self):
        return [f"{client.name}: {client.problem}" for client in self.clients if client.problem]

    def silent(self, since):
        """Clients that have done nothing since then."""
        return [client.name for client in self.clients if client.last_step < since]

    def stop(self, patience_s):
        """Ends the clients; their sessions stay. Gives those that do not end."""
        self.stopping = True
        deadline = time.monotonic() + patience_s
        for client in self.clients:
            client.join(max(0.0, deadline - time.monotonic()))
        return [client.name for client in self.clients if client.is_alive()]
