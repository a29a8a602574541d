"""Kills a server under load and checks what it kept: see the tests at the end."""

import argparse
import copy
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback

from model import *
from ports import free_port
from wire import *

WRITERS, DEPTH = 4, 16
LONG_MS, SHORT_MS = 40_000, 600


class Server:
    def __init__(self, name, port=None):
        self.directory = os.path.join(os.environ["WORK"], name)
        self.port = port or free_port()

    def start(self, *lines):
        """Runs the server on its directory and returns once it serves."""
        self.process = subprocess.Popen(
            [os.environ["SERVER_COMMAND"], self.directory, str(self.port), f"minSessionTimeout={SHORT_MS}",
             f"maxSessionTimeout={LONG_MS}", "snapCount=500", *lines]
        )
        deadline = time.monotonic() + PATIENCE
        while not self.serves():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server does not serve; its log ends with\n{self.log_end()}")
            time.sleep(0.02)

    def serves(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as probe:
                probe.sendall(b"srvr")
                return b"Mode:" in probe.makefile("rb").read()
        except OSError:
            return False

    def end(self, how):
        self.process.send_signal(how)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server did not end within {PATIENCE} s of signal {how}") from None

    def log_end(self):
        with open(os.path.join(self.directory, "server.log"), errors="replace") as log:
            return "".join(log.readlines()[-40:])


class Writer:
    """A session that outlives every crash, and a directory that nobody else changes."""

    def __init__(self, server, number, seed):
        self.server, self.rng = server, random.Random(f"{seed}/{number}")
        self.connection = Connection(server.port, LONG_MS)
        self.session = self.connection.session
        self.kept = Directory(self.connection.create(f"/w{number}"))  # what the server had when last checked
        self.stats = {}
        self.write = 0  # number of the last write ever sent
        self.sent, self.acknowledged, self.problem = [], 0, None

    def load(self, on_acknowledged):
        """Writes until the connection ends."""
        self.sent, self.acknowledged, self.problem = [], 0, None
        tip, waiting = copy.deepcopy(self.kept), []
        try:
            while True:
                while len(waiting) < DEPTH:
                    self.write += 1
                    op = random_write(self.rng, tip, self.write)
                    expected = tip.apply(op, self.session.id, self.write)
                    # Noted before it is sent: it may take effect although sending fails.
                    self.sent.append((self.write, op))
                    xid = self.connection.send(*encode(op, tip.path))
                    waiting.append((xid, self.write, op, expected))
                xid, write, op, expected = waiting.pop(0)
                error, reply = self.connection.receive(xid)
                result = decode(op, error, reply, self.stats, write)
                if result != expected:
                    raise AssertionError(f"{op} was answered {result}, expected {expected}")
                self.acknowledged += 1
                on_acknowledged()
        except Lost:
            pass
        except Exception:
            self.problem = traceback.format_exc()

    def resume_and_check(self):
        """Takes the session up again, and finds the writes that the server kept."""
        if self.problem:
            raise AssertionError(f"writer of {self.kept.path}: {self.problem}")
        try:
            self.connection = Connection(self.server.port, session=self.session, last_zxid=self.connection.last_zxid)
        except Refused:
            raise AssertionError(f"the live session {self.session.id:#x} was lost") from None
        except Lost as error:
            # What a server does to a client that has seen more than it.
            raise AssertionError(f"{error}: a client that has seen {self.connection.last_zxid:#x} is sent away") from None
        for write, op in self.sent[: self.acknowledged]:
            self.kept.apply(op, self.session.id, write)
        first = self.kept.differences(self.connection, self.stats)
        if not first:
            return
        for write, op in self.sent[self.acknowledged :]:
            self.kept.apply(op, self.session.id, write)
            if not self.kept.differences(self.connection, self.stats):
                return
        raise AssertionError(
            f"{self.kept.path} fits no end of the {len(self.sent) - self.acknowledged} unanswered writes after "
            f"{self.acknowledged} acknowledged ones. Compared with the acknowledged:\n  " + "\n  ".join(first)
            + f"\nunanswered: {self.sent[self.acknowledged:]}"
        )

    def keep_alive(self):
        self.connection.call(PING)


class Visitors:
    """Sessions that come and go under load, each with an ephemeral znode: closed, left to expire, or kept."""

    def __init__(self, server, seed):
        self.server, self.rng = server, random.Random(f"{seed}/visitors")
        connection = Connection(server.port, LONG_MS)
        self.directory = connection.create("/visitors")
        connection.close()
        self.closed, self.abandoned, self.sleeping, self.problem = [], [], [], None

    def visit(self):
        """Visits until the server is gone."""
        try:
            for number in range(40):
                kind = ("sleep", "abandon", "close")[number] if number < 3 else self.rng.choice(["abandon", "close"])
                connection = Connection(self.server.port, LONG_MS if kind == "sleep" else SHORT_MS)
                path = connection.create(f"{self.directory}/v-", flags=3)
                if kind == "close":
                    connection.close()
                    self.closed.append((path, connection.session))
                else:
                    connection.drop()
                    (self.sleeping if kind == "sleep" else self.abandoned).append((path, connection.session))
        except Lost:
            pass
        except Exception:
            self.problem = traceback.format_exc()

    def check(self, observer):
        if self.problem:
            raise AssertionError(f"visitors: {self.problem}")
        for path, session in self.closed:
            if observer.exists(path):
                raise AssertionError(f"{path} is there, its session {session.id:#x} was closed")
        for _, session in self.closed[-2:]:
            self.must_be_refused(session)
        for path, session in self.sleeping:
            stat = observer.exists(path)
            if stat is None or stat.owner != session.id:
                raise AssertionError(f"{path} of the live session {session.id:#x}: {stat}")
            forged = session._replace(password=bytes(16))
            self.must_be_refused(forged)
            Connection(self.server.port, session=session).close()
            if observer.exists(path):
                raise AssertionError(f"{path} is there after its resumed session was closed")
        self.closed, self.sleeping = [], []

    def must_be_refused(self, session):
        try:
            Connection(self.server.port, session=session)
        except Refused:
            return
        raise AssertionError(f"session {session.id:#x} was resumed")

    def wait_for_expiry(self, observer, writers):
        deadline = time.monotonic() + PATIENCE
        while any(observer.exists(path) for path, _ in self.abandoned):
            if time.monotonic() > deadline:
                raise AssertionError("ephemerals of dead sessions stay")
            for writer in writers:
                writer.keep_alive()
            time.sleep(0.05)
        for _, session in self.abandoned[-5:]:
            self.must_be_refused(session)
        self.abandoned = []


class Load:
    def __init__(self, server, seed):
        self.server, self.rng = server, random.Random(f"{seed}/load")
        self.writers = [Writer(server, number, seed) for number in range(WRITERS)]
        self.visitors = Visitors(server, seed)
        self.acknowledged = self.unanswered = 0

    def cycle(self, how):
        """Load, the end of the server in the midst of it, a new start, and the checks."""
        target, count, reached = self.rng.randrange(WRITERS, 1500), 0, threading.Event()
        lock = threading.Lock()

        def on_acknowledged():
            nonlocal count
            with lock:
                count += 1
                if count >= target:
                    reached.set()

        threads = [threading.Thread(target=writer.load, args=[on_acknowledged]) for writer in self.writers]
        threads.append(threading.Thread(target=self.visitors.visit))
        for thread in threads:
            thread.start()
        while not reached.wait(0.2):
            if not any(thread.is_alive() for thread in threads[:WRITERS]):
                break
        status = self.server.end(how)
        for thread in threads:
            thread.join()
        self.acknowledged += sum(writer.acknowledged for writer in self.writers)
        self.unanswered += sum(len(writer.sent) - writer.acknowledged for writer in self.writers)
        self.restart_and_check()
        if count < target:
            raise AssertionError(f"the load ended after {count} of {target} writes, the server with status {status}")

    def restart_and_check(self):
        self.server.start()
        for writer in self.writers:
            writer.resume_and_check()
        self.visitors.check(self.writers[0].connection)

    def expire(self):
        self.visitors.wait_for_expiry(self.writers[0].connection, self.writers)
        for writer in self.writers:
            writer.sent, writer.acknowledged = [], 0
            found = writer.kept.differences(writer.connection, writer.stats)
            if found:
                raise AssertionError("a live session's znodes changed: " + "; ".join(found))


def sigkill_under_load(options):
    """Every acknowledged write is there, none is there by half, live sessions resume, dead ones take their ephemerals along."""
    server = Server("sigkill")
    server.start()
    load = Load(server, options.seed)
    for cycle in range(1, options.cycles + 1):
        load.cycle(signal.SIGKILL)
        if cycle % 10 == 0 or cycle == options.cycles:
            load.expire()
        yield f"kill {cycle}"
    print(f"{load.acknowledged} writes acknowledged, {load.unanswered} unanswered at a kill")
    server.end(signal.SIGKILL)


def kill_while_starting(options):
    """Killed again before it serves, at different moments, the server still comes up with everything."""
    server = Server("starting")
    server.start()
    load = Load(server, options.seed)
    rng = random.Random(f"{options.seed}/starting")
    for attempt in range(1, 4):
        load.cycle(signal.SIGKILL)
        server.end(signal.SIGKILL)
        for _ in range(3):
            process = subprocess.Popen([os.environ["SERVER_COMMAND"], server.directory, str(server.port),
                                        f"minSessionTimeout={SHORT_MS}", f"maxSessionTimeout={LONG_MS}"])
            time.sleep(rng.uniform(0.0, 0.8))
            process.kill()
            process.wait()
        for writer in load.writers:
            writer.sent, writer.acknowledged = [], 0
        load.restart_and_check()
        yield f"killed while starting {attempt}"
    server.end(signal.SIGKILL)


def clean_stop_under_load(options):
    """SIGTERM ends the server by itself, and what holds after a kill holds then."""
    server = Server("sigterm")
    server.start()
    load = Load(server, options.seed)
    for cycle in range(1, 4):
        load.cycle(signal.SIGTERM)
        yield f"clean stop {cycle}"
    server.end(signal.SIGKILL)


def second_server_is_refused(options):
    """A data directory in use is left alone; the first server goes on, and after it the directory is free again."""
    if os.environ["SERVER"] == "java":
        print("left out: Java does not lock its data directory")
        return
    first, second = Server("locked"), Server("locked")
    first.start()
    connection = Connection(first.port, LONG_MS)
    connection.create("/before")
    intruder = subprocess.Popen([os.environ["SERVER_COMMAND"], second.directory, str(second.port)])
    try:
        status = intruder.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        intruder.kill()
        raise AssertionError("a second server runs on the same data directory") from None
    if status == 0:
        raise AssertionError("a refused server ends with status 0")
    if os.path.join(first.directory, "data") not in first.log_end():
        raise AssertionError(f"the message does not name the directory:\n{first.log_end()}")
    connection.create("/after")
    first.end(signal.SIGKILL)
    second.start()
    heir = Connection(second.port, session=connection.session, last_zxid=connection.last_zxid)
    for path in ("/before", "/after"):
        if heir.exists(path) is None:
            raise AssertionError(f"{path} is gone")
    second.end(signal.SIGKILL)
    yield "second server"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=50, help="how often to kill (50)")
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**9)), help="repeats the same load")
    parser.add_argument("tests", nargs="*", help="names of the tests to run (all)")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    passed = failed = 0
    for test in (sigkill_under_load, kill_while_starting, clean_stop_under_load, second_server_is_refused):
        if options.tests and test.__name__ not in options.tests:
            continue
        try:
            for step in test(options):
                print(f"pass {test.__name__}: {step}", flush=True)
                passed += 1
        except Exception:
            print(f"fail {test.__name__} (seed {options.seed})", flush=True)
            traceback.print_exc()
            failed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


main()
