"""Breaks things, one after the other and at the same time, by a plan that follows from the seed.

The plan names roles (the leader, a follower, anybody by number); who that is, is found out when it happens. Every fault
is a generator: it breaks, yields how long it wants to be left alone, and mends."""

import random
import signal
import time

from members import EIO

FAULTS = {}


def fault(weight):
    def register(function):
        FAULTS[function.__name__] = function, weight
        return function
    return register


class Nemesis:
    def __init__(self, cluster, network, seed, say, limit_s):
        self.cluster, self.network, self.say = cluster, network, say
        self.random = random.Random(f"{seed}/nemesis")
        self.limit_s = limit_s  # after which followers and leaders give one another up
        self.ended_by_itself = []  # (server, status, excused)
        self.fragile = set()  # servers whose disk was full or broken in this run: they may end
        self.counts = {}

    # -- who --

    def leader(self):
        """The leader if there is one at this moment, or anybody."""
        found = [server for server in self.up() if server.mode() == "leader"]
        return found[-1] if found else self.anybody()

    def up(self):
        return [server for server in self.cluster if server.process and not server.paused]

    def anybody(self):
        return self.random.choice(self.cluster.participants())

    def victim(self):
        """Half of the time the leader."""
        return self.leader() if self.random.random() < 0.5 else self.anybody()

    def others(self, server):
        return [other for other in self.cluster if other is not server]

    # -- what --

    def run(self, seconds):
        until = time.monotonic() + seconds
        names, weights = zip(*((name, weight) for name, (_, weight) in FAULTS.items()))
        while time.monotonic() < until:
            count = self.random.choice([1, 1, 1, 2])
            chosen = self.random.choices(names, weights, k=count)
            active = [(name, FAULTS[name][0](self)) for name in dict.fromkeys(chosen)]
            pending = [(time.monotonic(), name, steps) for name, steps in active]
            for name, _ in active:
                self.counts[name] = self.counts.get(name, 0) + 1
            while pending:
                pending.sort(key=lambda item: item[0])
                at, name, steps = pending.pop(0)
                self.wait(at)
                try:
                    pause = next(steps)
                except StopIteration:
                    continue
                pending.append((time.monotonic() + pause, name, steps))
            self.network.heal()
            self.revive()
            self.wait(time.monotonic() + self.random.choice([0.2, 1.0, 3.0, self.limit_s]))

    def wait(self, until):
        while time.monotonic() < until:
            self.notice_ends()
            time.sleep(max(0.0, min(0.1, until - time.monotonic())))

    def notice_ends(self):
        """Servers that have ended without being told to; a supervisor would start them again."""
        for server in self.cluster:
            if server.process and server.process.poll() is not None:
                status = server.process.returncode
                self.say(f"{server} has ended by itself with status {status}")
                self.ended_by_itself.append((server, status, server in self.fragile))
                server.process, server.paused = None, False

    def revive(self):
        """Everybody runs, with a disk that works."""
        self.notice_ends()
        for server in self.cluster:
            server.order()
            server.free()
            if server.process and server.paused:
                server.resume()
            if not server.process:
                server.start()

    def kill(self, server):
        if server.process:
            server.kill()

    def start(self, server):
        if not server.process:
            server.start()

    def mend(self, clear):
        clear()
        self.network.apply()


def pause_of(nemesis):
    """Shorter, about as long, and longer than what servers put up with."""
    return nemesis.random.choice([0.3, 0.8, 1.0, 1.5, 2.5]) * nemesis.limit_s


@fault(6)
def kill_one(nemesis):
    server = nemesis.victim()
    nemesis.say(f"SIGKILL to {server}")
    nemesis.kill(server)
    yield nemesis.random.choice([0.0, 0.1, 1.0, nemesis.limit_s * 1.5])
    nemesis.start(server)


@fault(2)
def kill_leaders(nemesis):
    """Each one that is elected, again and again."""
    for _ in range(nemesis.random.choice([2, 3])):
        server = nemesis.leader()
        nemesis.say(f"SIGKILL to {server}, again and again")
        nemesis.kill(server)
        yield nemesis.random.choice([0.05, 0.3, 0.6])
        nemesis.start(server)
        yield nemesis.random.choice([0.3, 0.8])


@fault(2)
def kill_all(nemesis):
    """The lights go out."""
    nemesis.say("SIGKILL to everybody")
    for server in nemesis.cluster:
        nemesis.kill(server)
    yield nemesis.random.choice([0.0, 0.5])
    order = list(nemesis.cluster)
    nemesis.random.shuffle(order)
    for server in order:
        nemesis.start(server)
        yield nemesis.random.choice([0.0, 0.3, 1.0])


@fault(1)
def stop_one(nemesis):
    server = nemesis.victim()
    nemesis.say(f"SIGTERM to {server}")
    if server.process:
        if server.paused:
            server.resume()
        server.end(signal.SIGTERM)
    yield nemesis.random.choice([0.0, 1.0])
    nemesis.start(server)


@fault(4)
def freeze(nemesis):
    server, seconds = nemesis.victim(), pause_of(nemesis)
    if not server.process or server.process.poll() is not None:
        return
    nemesis.say(f"SIGSTOP to {server} for {seconds:.1f} s")
    server.process.send_signal(signal.SIGSTOP)
    server.paused = True
    yield seconds
    if server.process and server.paused:
        server.resume()


@fault(4)
def isolate(nemesis):
    """One server hears the others no more, or they do not hear it, or both."""
    server, seconds = nemesis.victim(), pause_of(nemesis)
    inward, outward = nemesis.random.choice([(True, True), (True, False), (False, True)])
    clients = nemesis.random.random() < 0.3
    facts = set()
    for other in nemesis.others(server):
        facts |= {(server.sid, other.sid)} if inward else set()
        facts |= {(other.sid, server.sid)} if outward else set()
    if clients:
        facts |= ({(server.sid, 0)} if inward else set()) | ({(-server.sid, 0)} if outward else set())
    how = "neither hears nor is heard" if inward and outward else "does not hear" if inward else "is not heard"
    nemesis.say(f"{server} {how} for {seconds:.1f} s{', by clients neither' if clients else ''}")
    nemesis.network.deaf |= facts
    nemesis.network.apply()
    yield seconds
    nemesis.network.deaf -= facts
    nemesis.network.apply()


@fault(2)
def cut_link(nemesis):
    """Two do not hear each other; the others hear both."""
    seconds = pause_of(nemesis)
    one, other = nemesis.random.sample(nemesis.cluster.participants(), 2)
    facts = {(one.sid, other.sid), (other.sid, one.sid)}
    if nemesis.random.random() < 0.4:
        facts.pop()
    nemesis.say(f"servers {one.sid} and {other.sid} are cut for {seconds:.1f} s: {facts}")
    nemesis.network.deaf |= facts
    nemesis.network.apply()
    yield seconds
    nemesis.network.deaf -= facts
    nemesis.network.apply()


@fault(1)
def cut_clients(nemesis):
    server, seconds = nemesis.victim(), pause_of(nemesis)
    facts = nemesis.random.choice([{(server.sid, 0)}, {(-server.sid, 0)}, {(server.sid, 0), (-server.sid, 0)}])
    nemesis.say(f"clients and {server} are cut for {seconds:.1f} s: {facts}")
    nemesis.network.deaf |= facts
    nemesis.network.apply()
    yield seconds
    nemesis.network.deaf -= facts
    nemesis.network.apply()


@fault(2)
def lose_packets(nemesis):
    share, seconds = nemesis.random.choice([0.02, 0.1, 0.3]), pause_of(nemesis) * 1.5
    servers = nemesis.random.choice([[nemesis.victim()], list(nemesis.cluster)])
    nemesis.say(f"{', '.join(str(server.sid) for server in servers)} lose {share:.0%} for {seconds:.1f} s")
    nemesis.network.loss.update({server.sid: share for server in servers})
    nemesis.network.apply()
    yield seconds
    nemesis.network.loss.clear()
    nemesis.network.apply()


@fault(2)
def delay_packets(nemesis):
    delay, jitter = nemesis.random.choice([(20, 0), (20, 20), (100, 50), (400, 300)])
    seconds = pause_of(nemesis) * 1.5
    servers = nemesis.random.choice([[nemesis.victim()], list(nemesis.cluster)])
    nemesis.say(f"{', '.join(str(server.sid) for server in servers)} send {delay} ms later, more or less by {jitter}, "
                f"for {seconds:.1f} s")
    nemesis.network.delay.update({server.sid: (delay, jitter) for server in servers})
    nemesis.network.apply()
    yield seconds
    nemesis.network.delay.clear()
    nemesis.network.apply()


@fault(2)
def slow_disk(nemesis):
    server, slow, seconds = nemesis.victim(), nemesis.random.choice([30, 200, 1000]), pause_of(nemesis) * 1.5
    nemesis.say(f"every fsync of {server} takes {slow} ms longer for {seconds:.1f} s")
    server.order(slow_ms=slow)
    yield seconds
    server.order()


@fault(1)
def broken_disk(nemesis):
    server = nemesis.victim()
    nemesis.say(f"every fsync of {server} fails")
    nemesis.fragile.add(server)
    server.order(error=EIO)
    yield 1.0
    server.order()
    # What a server does that could not write: it ends, and is started again by whoever does that.
    yield 0.5
    nemesis.notice_ends()
    nemesis.start(server)


@fault(1)
def full_disk(nemesis):
    server, seconds = nemesis.victim(), pause_of(nemesis)
    nemesis.say(f"the disk of {server} is full for {seconds:.1f} s")
    nemesis.fragile.add(server)
    server.fill()
    yield seconds
    nemesis.notice_ends()
    restarted_full = nemesis.random.random() < 0.5
    if restarted_full:
        nemesis.kill(server)
        nemesis.start(server)
        yield 1.0
        nemesis.notice_ends()
    server.free()
    nemesis.start(server)
