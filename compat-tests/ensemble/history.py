"""Load that runs through everything that happens to an ensemble, and what must be true of it afterwards.

Every client is a thread with a session (or several). It notes what was acknowledged, what was refused and what is unknown;
`check` compares with what is there. Unknown writes may have happened, once, or not."""

import random
import struct
import threading
import time
import traceback
from collections import Counter as Tally, defaultdict

from client import (BAD_VERSION, CHECK, CREATED, DATA_CHANGED, DELETED, EPHEMERAL, MULTI, RECURSIVE, SEQUENTIAL, SET,
                    Session, SessionLost, Stat, Unknown, Violation, create_body, multi_body, set_body)
from cluster import Failed, PATIENCE, eventually
from wire import CREATE, text

PACE_S = 0.02  # a client's pause between its steps, so that trees stay small enough to be compared often
DIRECTORIES = ("/counters", "/seq", "/lock", "/events", "/accounts", "/transfers", "/live", "/visitors", "/sleepers")


class Client(threading.Thread):
    """One client: `begin` once, then `step` again and again."""

    timeout_ms = 30_000

    def __init__(self, load, number):
        super().__init__(name=f"{type(self).__name__.lower()}-{number}", daemon=True)
        self.load, self.number = load, number
        self.random = random.Random(f"{load.seed}/{self.name}")
        self.steps, self.idle, self.problem, self.session = 0, False, None, None

    def run(self):
        try:
            self.session = Session(self.load.ports, self.timeout_ms, first=self.number)
            self.session.connect()
            self.session.ensure(f"/live/{self.name}", self.name.encode(), EPHEMERAL)
            self.begin()
            while not self.load.stopping:
                if self.load.paused:
                    self.rest()
                    continue
                self.step()
                self.steps += 1
                time.sleep(PACE_S)
        except Exception:
            self.problem = traceback.format_exc()
        finally:
            self.idle = True

    def rest(self):
        """Waits until the load goes on; the session stays alive."""
        self.idle = True
        last = 0
        while self.load.paused and not self.load.stopping:
            if time.monotonic() - last > 1.5:
                self.session.ping()
                last = time.monotonic()
            time.sleep(0.02)
        self.idle = False

    def begin(self):
        pass

    def step(self):
        raise NotImplementedError

    def finish(self, session):
        """After the last step: compares with what `session`, which has synced, sees."""

    def counts(self):
        return ""


class Incrementer(Client):
    """Adds one to shared counters, by compare and set: each version is one client's, and none is missing."""

    COUNTERS = 3

    def begin(self):
        self.seen = [0] * self.COUNTERS
        self.count = self.unknown = 0

    def step(self):
        counter = self.random.randrange(self.COUNTERS)
        path = f"/counters/c{counter}"
        data, stat = self.session.get(path)
        if int(data.split()[0]) != stat.version:
            raise Violation(f"{path} has version {stat.version} and {data}")
        if stat.version < self.seen[counter]:
            raise Violation(f"{self.name} has seen version {self.seen[counter]} of {path}, now {stat.version}")
        self.seen[counter] = stat.version
        wanted = stat.version + 1
        author = f"{wanted} {self.name} {self.steps}"
        try:
            result = self.session.set(path, author.encode(), stat.version)
        except Unknown:
            self.unknown += 1
            with self.load.lock:
                self.load.unknown[path, wanted].append(author)
            return
        if result == BAD_VERSION:
            return
        if not isinstance(result, Stat) or result.version != wanted:
            raise Violation(f"{path}: set at version {stat.version} was answered {result}")
        self.seen[counter] = wanted
        self.count += 1
        with self.load.lock:
            self.load.acknowledged[path, wanted].append(author)
            self.load.highest[path] = max(self.load.highest[path], wanted)

    def finish(self, session):
        if self.number:
            return
        with self.load.lock:
            for counter in range(self.COUNTERS):
                path = f"/counters/c{counter}"
                data, stat = session.get(path)
                for version in range(1, stat.version + 1):
                    acknowledged = self.load.acknowledged[path, version]
                    if len(acknowledged) > 1:
                        raise Violation(f"version {version} of {path} was acknowledged to all of {acknowledged}")
                    if not acknowledged and not self.load.unknown[path, version]:
                        raise Violation(f"nobody has written version {version} of {path}")
                if self.load.highest[path] > stat.version:
                    raise Violation(f"{path} has version {stat.version}, {self.load.highest[path]} was acknowledged")
                authors = self.load.acknowledged[path, stat.version] or self.load.unknown[path, stat.version]
                if stat.version and data.decode() not in authors:
                    raise Violation(f"{path} has {data}, written by {authors}")

    def counts(self):
        return f"{self.count} increments, {self.unknown} unknown"


class Reader(Client):
    """What was acknowledged to anybody before a sync is seen after it."""

    def begin(self):
        self.seen = defaultdict(int)

    def step(self):
        path = f"/counters/c{self.random.randrange(Incrementer.COUNTERS)}"
        with self.load.lock:
            before = self.load.highest[path]
        reconnects = self.session.reconnects
        self.session.sync(path)
        _, stat = self.session.get(path)
        # A sync holds for the server that answered it.
        port = self.session.port
        if reconnects == self.session.reconnects and stat.version < before and not self.load.syncs_weakly(port):
            raise Violation(f"{path} has version {stat.version} after a sync on port {port}, {before} was acknowledged "
                            "before it")
        if stat.version < self.seen[path]:
            raise Violation(f"{self.name} has seen version {self.seen[path]} of {path}, now {stat.version}")
        self.seen[path] = stat.version


class Sequencer(Client):
    """Creates sequential znodes; each carries a number of its own, so that none is lost and none is there twice."""

    def begin(self):
        self.acknowledged, self.unknown, self.last = {}, set(), ""

    def step(self):
        data = f"{self.name} {self.steps}"
        try:
            path, stat = self.session.create("/seq/s-", data.encode(), SEQUENTIAL)
        except Unknown:
            self.unknown.add(data)
            return
        if path <= self.last:
            raise Violation(f"{path} was given after {self.last}")
        self.last = path
        self.acknowledged[data] = path, stat.czxid

    def finish(self, session):
        if self.number:
            return
        everybody = [client for client in self.load.clients if isinstance(client, Sequencer)]
        found, previous = defaultdict(list), 0
        for name in session.children("/seq"):
            data, stat = session.get(f"/seq/{name}")
            found[data.decode()].append((f"/seq/{name}", stat.czxid))
            if stat.czxid <= previous:
                raise Violation(f"/seq/{name} was created at {stat.czxid:#x}, the one before it at {previous:#x}")
            previous = stat.czxid
        for client in everybody:
            for data, place in client.acknowledged.items():
                if found.pop(data, []) != [place]:
                    raise Violation(f"{data!r} was acknowledged as {place}, there is {found[data]}")
            for data in client.unknown:
                if len(found.pop(data, [])) > 1:
                    raise Violation(f"{data!r} is there twice")
        if found:
            raise Violation(f"nobody has created {dict(found)}")

    def counts(self):
        return f"{len(self.acknowledged)} sequential znodes, {len(self.unknown)} unknown"


class Locker(Client):
    """The lock recipe. Whoever holds the lock writes its name over "free", and "free" over its name."""

    def begin(self):
        self.held = 0

    def step(self):
        token = f"{self.name}-{self.steps}-"
        mine = self.enter(token)
        self.wait_for_turn(mine)
        self.turn(b"free", token.encode())
        self.turn(token.encode(), b"free")
        self.leave(mine)
        self.held += 1

    def enter(self, token):
        try:
            return self.session.create(f"/lock/{token}", b"", EPHEMERAL | SEQUENTIAL)[0].rsplit("/", 1)[1]
        except Unknown:
            # What another server shows may be older than the request: the sync brings it up to date.
            self.session.sync("/lock")
            found = [name for name in self.session.children("/lock") if name.startswith(token)]
            if len(found) > 1:
                raise Violation(f"one create has made {found}") from None
            return found[0] if found else self.enter(token)

    def wait_for_turn(self, mine):
        number = lambda name: name[-10:]
        deadline = time.monotonic() + PATIENCE
        while True:
            names = sorted(self.session.children("/lock"), key=number)
            if mine not in names:
                raise Violation(f"/lock/{mine} of a live session is gone")
            if names[0] == mine:
                return
            before = names[names.index(mine) - 1]
            if self.session.exists(f"/lock/{before}", watch=True):
                # The watch ends with the connection, so look again after a while.
                self.session.wait_events(1.0)
                self.session.take_events()
            if time.monotonic() > deadline:
                raise Violation(f"/lock/{mine} waits for {names}")

    def turn(self, old, new):
        """The holder's change: nobody else may interfere."""
        while True:
            data, stat = self.session.get("/holder")
            if data == new:
                return  # by the request whose answer was lost
            if data != old:
                raise Violation(f"{self.name} holds the lock, /holder says {data}, expected {old}")
            try:
                result = self.session.set("/holder", new, stat.version)
            except Unknown:
                self.session.sync("/holder")
                continue
            if isinstance(result, Stat):
                return
            raise Violation(f"{self.name} holds the lock, but somebody has changed /holder ({result})")

    def leave(self, mine):
        while True:
            try:
                self.session.delete(f"/lock/{mine}")
                return
            except Unknown:
                pass

    def finish(self, session):
        if not self.number:
            data, _ = session.get("/holder")
            if data != b"free":
                raise Violation(f"/holder is left as {data}")
            if session.children("/lock"):
                raise Violation(f"locks are left: {session.children('/lock')}")

    def counts(self):
        return f"lock held {self.held} times"


class Emitter(Client):
    """Creates and deletes znodes of unique names, for the watchers."""

    def begin(self):
        self.changes = []  # (zxid, kind, path) of the acknowledged ones

    def step(self):
        path = f"/events/{self.name}-{self.steps}"
        try:
            _, stat = self.session.create(path)
            self.changes.append((stat.czxid, CREATED, path))
            if self.session.delete(path) == 0:
                self.changes.append((self.session.last_zxid, DELETED, path))
        except Unknown:
            pass

    def counts(self):
        return f"{len(self.changes)} changes watched"


class Watcher(Client):
    """A persistent recursive watch: while a connection lasts, it tells of each change once and in order."""

    def begin(self):
        self.spans = []  # a connection each: [zxid from, zxid to, events]
        self.session.watch("/events", RECURSIVE)
        self.session.on_connect.append(self.connected)
        self.connected()
        self.seen = 0

    def connected(self):
        self.fresh = True

    def step(self):
        reconnects = self.session.reconnects
        self.session.get("/events")
        if self.fresh:
            if reconnects == self.session.reconnects:
                # The watch was set before that answer, and counts from it on.
                self.session.take_events()
                self.spans.append([self.session.last_zxid, self.session.last_zxid, []])
                self.fresh = False
            return
        if reconnects == self.session.reconnects:
            span = self.spans[-1]
            span[2] += self.session.take_events()
            span[1] = self.session.last_zxid

    def finish(self, session):
        changes = sorted(change for client in self.load.clients if isinstance(client, Emitter) for change in client.changes)
        for begin, end, events in self.spans:
            repeated = [event for event, count in Tally(event[:2] for event in events).items() if count > 1]
            if repeated:
                raise Violation(f"events came twice: {repeated[:5]}")
            places = {event[:2]: place for place, event in enumerate(events)}
            last = -1
            for zxid, kind, path in changes:
                if not begin < zxid <= end:
                    continue
                place = places.get((kind, path))
                if place is None:
                    raise Violation(f"no event {kind} of {path} at {zxid:#x}, on a connection from {begin:#x} to {end:#x}")
                if place < last:
                    raise Violation(f"event {kind} of {path} at {zxid:#x} came too early")
                if events[place][2] not in (-1, zxid):
                    raise Violation(f"event {kind} of {path} says {events[place][2]:#x}, it was {zxid:#x}")
                last = place
                self.seen += 1

    def counts(self):
        return f"{self.seen} events on {len(self.spans)} connections"


class OneShot(Client):
    """A data watch that is renewed after each event only: the last state has to arrive."""

    path = "/counters/c0"

    def begin(self):
        self.version, self.events = -1, 0
        self.look()

    def look(self):
        while True:
            reconnects = self.session.reconnects
            _, stat = self.session.get(self.path, watch=True)
            # What came before the answer is of a watch that was set before: by this, on a connection that was lost.
            self.session.take_events()
            if reconnects == self.session.reconnects:
                break
        self.version = stat.version
        # After a reconnection the watch is renewed by what the client has seen, not by what is there.
        self.session.watched = [(self.path, "data")]

    def step(self):
        self.session.wait_events(0.5)
        events = self.session.take_events()
        if events:
            if [event[:2] for event in events] != [(DATA_CHANGED, self.path)]:
                raise Violation(f"a data watch of {self.path} has brought {events}")
            self.session.watched = []
            self.events += 1
            before = self.version
            self.look()
            if self.version <= before:
                raise Violation(f"an event of {self.path}, which had version {before}, and has {self.version}")

    def finish(self, session):
        _, stat = session.get(self.path)
        deadline = time.monotonic() + PATIENCE
        while self.version < stat.version:
            self.step()
            if time.monotonic() > deadline:
                raise Violation(f"{self.path} has version {stat.version}, the watch has not told since {self.version}")

    def counts(self):
        return f"{self.events} one-time events"


class Banker(Client):
    """Moves amounts between accounts by multi: all of it or nothing."""

    ACCOUNTS, START = 6, 1000

    def begin(self):
        self.acknowledged, self.unknown = {}, set()

    def step(self):
        source, target = self.random.sample(range(self.ACCOUNTS), 2)
        amount = self.random.randrange(1, 10)
        have, have_stat = self.session.get(f"/accounts/a{source}")
        other, other_stat = self.session.get(f"/accounts/a{target}")
        note = f"/transfers/{self.name}-{self.steps}"
        parts = [
            (SET, set_body(f"/accounts/a{source}", str(int(have) - amount).encode(), have_stat.version)),
            # Not create2: Debian's 3.8.0 loses multis that contain it.
            (CREATE, create_body(note, f"{source} {target} {amount}".encode(), 0)),
            (SET, set_body(f"/accounts/a{target}", str(int(other) + amount).encode(), other_stat.version)),
        ]
        if self.random.random() < 0.1:
            # The last part fails, and takes the others along.
            parts.append((CHECK, text("/accounts/a0") + struct.pack(">i", 1_000_000)))
        try:
            error, reply = self.session.write(MULTI, multi_body(parts))
        except Unknown:
            if len(parts) == 3:
                self.unknown.add(note)
            return
        opcode, _, _ = reply.take(">ibi")
        if opcode != -1:
            if error:
                raise Violation(f"a multi of results has error {error}")
            if len(parts) > 3:
                raise Violation("a multi with a failing part was done")
            self.acknowledged[note] = self.session.last_zxid

    def finish(self, session):
        if self.number:
            return
        everybody = [client for client in self.load.clients if isinstance(client, Banker)]
        notes = {f"/transfers/{name}": session.get(f"/transfers/{name}") for name in session.children("/transfers")}
        for client in everybody:
            for note, zxid in client.acknowledged.items():
                if note not in notes or notes[note][1].czxid != zxid:
                    raise Violation(f"{note} was acknowledged at {zxid:#x}, there is {notes.get(note)}")
        allowed = {note for client in everybody for note in (*client.acknowledged, *client.unknown)}
        if set(notes) - allowed:
            raise Violation(f"transfers that were refused have happened: {sorted(set(notes) - allowed)[:5]}")
        balances, versions = [self.START] * self.ACCOUNTS, [0] * self.ACCOUNTS
        for data, _ in notes.values():
            source, target, amount = map(int, data.split())
            balances[source] -= amount
            balances[target] += amount
            versions[source] += 1
            versions[target] += 1
        for account in range(self.ACCOUNTS):
            data, stat = session.get(f"/accounts/a{account}")
            if (int(data), stat.version) != (balances[account], versions[account]):
                raise Violation(f"account {account}: {data} at version {stat.version}, by the transfers "
                                f"{balances[account]} at {versions[account]}")

    def counts(self):
        return f"{len(self.acknowledged)} multis, {len(self.unknown)} unknown"


class Visitor(Client):
    """Sessions that come and go, each with an ephemeral znode: closed ones take it along, left ones when they expire."""

    def begin(self):
        self.closed, self.left = [], 0

    def step(self):
        # All the steps of a scenario may take longer than the session lasts that this client has for itself.
        self.session.ping()
        guest = Session(self.load.ports, 1500, first=self.random.randrange(99))
        # The session's own end is no loss here: while servers are away a short one may well expire.
        try:
            guest.connect()
            try:
                path, stat = guest.create("/visitors/v-", b"", EPHEMERAL | SEQUENTIAL)
            except Unknown:
                self.left += 1
                return
            if stat.owner != guest.id:
                raise Violation(f"{path} belongs to {stat.owner:#x}, not {guest.id:#x}")
            if self.random.random() < 0.7 and guest.close():
                self.closed.append((path, stat.czxid))
            else:
                self.left += 1
        except SessionLost:
            self.left += 1
        finally:
            guest.lose()
        time.sleep(0.05)

    def finish(self, session):
        names = {f"/visitors/{name}" for name in session.children("/visitors")}
        kept = [path for path, _ in self.closed if path in names]
        if kept:
            raise Violation(f"the sessions of {kept[:5]} were closed")
        eventually(lambda: f"left sessions expire, there are {session.children('/visitors')}",
                   lambda: not session.children("/visitors"))

    def counts(self):
        return f"{len(self.closed)} sessions closed, {self.left} left"


class Sleeper(Client):
    """A session that is away most of the time, but comes back before its end: nothing of it may be lost meanwhile."""

    timeout_ms = 50_000

    def begin(self):
        self.session.ensure("/sleepers/here", b"", EPHEMERAL)
        self.woken = 0

    def rest(self):
        self.step()
        super().rest()

    def step(self):
        stat = self.session.exists("/sleepers/here")
        if stat is None or stat.owner != self.session.id:
            raise Violation(f"the znode of the sleeping session {self.session.id:#x}: {stat}")
        self.session.lose()
        self.woken += 1
        until = time.monotonic() + 3
        while time.monotonic() < until and not self.load.stopping and not self.load.paused:
            time.sleep(0.05)

    def counts(self):
        return f"woken {self.woken} times"


class Load:
    """All the clients, on the servers that `ports` names at each moment."""

    KINDS = [Incrementer, Incrementer, Incrementer, Reader, Reader, Sequencer, Sequencer, Locker, Locker, Emitter, Watcher,
             Watcher, OneShot, Banker, Banker, Visitor, Sleeper]

    def __init__(self, ports, seed=None, syncs_weakly=lambda port: False):
        """`syncs_weakly` says of which servers a sync does not promise what others have been told."""
        self.ports, self.seed, self.syncs_weakly = ports, seed or random.randrange(10**9), syncs_weakly
        self.lock = threading.Lock()
        self.acknowledged, self.unknown, self.highest = defaultdict(list), defaultdict(list), defaultdict(int)
        self.stopping = self.paused = False
        self.clients, numbers = [], Tally()
        for kind in self.KINDS:
            self.clients.append(kind(self, numbers[kind]))
            numbers[kind] += 1

    def start(self):
        session = Session(self.ports)
        for path in DIRECTORIES:
            session.ensure(path)
        session.ensure("/holder", b"free")
        for counter in range(Incrementer.COUNTERS):
            session.ensure(f"/counters/c{counter}", b"0")
        for account in range(Banker.ACCOUNTS):
            session.ensure(f"/accounts/a{account}", str(Banker.START).encode())
        session.close()
        for client in self.clients:
            client.start()
        self.progress(1)
        return self

    def raise_problems(self):
        problems = [f"{client.name}: {client.problem}" for client in self.clients if client.problem]
        if problems:
            raise Failed("\n".join(problems))

    def progress(self, steps):
        """Waits until each client has done that many steps more."""
        self.raise_problems()
        wanted = {client: client.steps + steps for client in self.clients
                  if not isinstance(client, (Sleeper, OneShot, Locker))}

        def slow():
            self.raise_problems()
            return [client.name for client, count in wanted.items() if client.steps < count]

        eventually(lambda: f"progress of {', '.join(slow())}", lambda: not slow())

    def pause(self):
        """Returns when every client has the answers to what it sent; sessions stay alive."""
        self.paused = True

        def busy():
            self.raise_problems()
            return [client.name for client in self.clients if not client.idle]

        eventually(lambda: f"the end of the steps of {', '.join(busy())}", lambda: not busy())

    def resume(self):
        self.paused = False
        self.progress(1)

    def finish(self):
        """Ends the load and checks everything."""
        self.stopping = True
        self.paused = False
        for client in self.clients:
            client.join(PATIENCE)
            if client.is_alive():
                raise Failed(f"{client.name} does not end")
        self.raise_problems()
        session = Session(self.ports)
        session.connect()
        session.sync()
        for client in self.clients:
            stat = session.exists(f"/live/{client.name}")
            if stat is None or stat.owner != client.session.id:
                raise Failed(f"the znode of the live session {client.session.id:#x} of {client.name}: {stat}")
        # Every second session is closed before the checks, the others live on till the end.
        for client in self.clients:
            try:
                client.finish(session)
            except Violation as error:
                raise Failed(f"{client.name}: {error}") from None
        for client in self.clients:
            if client.session.close() and session.exists(f"/live/{client.name}"):
                session.sync()
                if session.exists(f"/live/{client.name}"):
                    raise Failed(f"the session of {client.name} was closed, its znode is there")
        session.close()

    def report(self):
        totals = defaultdict(list)
        for client in self.clients:
            totals[type(client).__name__].append(client)
        return "; ".join(text for clients in totals.values() for text in
                         [", ".join(filter(None, (client.counts() for client in clients)))] if text)
