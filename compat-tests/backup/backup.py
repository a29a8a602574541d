"""Backups are taken while a writer changes nodes. What is restored has to be what the writer knows of that moment."""

import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

from ports import free_port
from wire import Connection, blob, text

WORK = os.environ["WORK"]
BINARY = os.environ["FERROKEEPER"]
SET, DELETE = 5, 2
NODES = 20
SEED = int(os.environ.get("SEED", "7"))


def tool(*arguments):
    """(exit code, stdout, stderr) of a command."""
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, timeout=300)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Server:
    def __init__(self, name, java=False, data=None):
        self.dir = os.path.join(WORK, name)
        os.makedirs(self.dir)
        self.port, self.java = free_port(), java
        self.cfg = os.path.join(self.dir, "zoo.cfg")
        with open(self.cfg, "w") as f:
            f.write(f"dataDir={data or self.dir + '/data'}\nclientPort={self.port}\nclientPortAddress=127.0.0.1\n"
                    "tickTime=2000\nadmin.enableServer=false\nmaxSessionTimeout=600000\n")

    def start(self):
        command = [BINARY, "server", self.cfg]
        if self.java:
            command = ["java", "-cp", os.environ["CLASSPATH_JAVA"],
                       "org.apache.zookeeper.server.quorum.QuorumPeerMain", self.cfg]
        log = open(os.path.join(self.dir, "server.log"), "ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        # For whoever cleans up behind a test that was killed.
        with open(os.path.join(self.dir, "server.pid"), "w") as f:
            f.write(str(self.process.pid))
        deadline = time.monotonic() + 120
        while True:
            if self.process.poll() is not None:
                raise AssertionError(open(os.path.join(self.dir, "server.log")).read()[-3000:])
            try:
                with socket.create_connection(("127.0.0.1", self.port), 2) as s:
                    s.sendall(b"srvr")
                    if b"Mode:" in s.makefile("rb").read():
                        return self
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise AssertionError("the server does not serve")
            time.sleep(0.02)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


class Writer(threading.Thread):
    """Sets nodes in turn, and writes down what it did."""

    def __init__(self, port):
        super().__init__()
        self.connection = Connection(port, 600000)
        self.done, self.acts, self.error = threading.Event(), [], None
        for i in range(NODES):
            self.connection.create(f"/n{i}", b"0")
        self.begin = self.connection.last_zxid

    def run(self):
        try:
            count = 0
            while not self.done.is_set():
                count += 1
                path = f"/n{count % NODES}"
                value = b"%d " % count + b"x" * (count % 500)
                error, reply = self.connection.call(SET, text(path) + blob(value) + struct.pack(">i", -1))
                assert error == 0, error
                stat = reply.stat()
                self.acts.append((self.connection.last_zxid, stat.mtime, path, value))
        except BaseException as error:
            self.error = error

    def end(self):
        self.done.set()
        self.join()
        if self.error:
            raise self.error

    def tree(self, wanted):
        """The nodes after all acts that are wanted."""
        nodes = {f"/n{i}": b"0" for i in range(NODES)}
        for act in self.acts:
            if wanted(act):
                nodes[act[2]] = act[3]
        return nodes


def tree_of(port):
    connection = Connection(port, 10000)
    nodes = {f"/{name}": connection.read(f"/{name}")[0] for name in connection.children("/") if name[0] == "n"}
    connection.close()
    return nodes


class Backups(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = os.path.join(WORK, "backup")
        cls.server = Server("server").start()
        cls.writer = Writer(cls.server.port)
        cls.lines = []
        cls.writer.start()
        for i in range(6):
            time.sleep(0.4)
            code, out, err = tool("backup", cls.server.cfg, cls.dir, *(["--full"] if i == 4 else []))
            assert code == 0, err
            cls.lines.append(out)
        cls.writer.end()
        code, out, err = tool("backup", cls.server.cfg, cls.dir)
        assert code == 0, err
        cls.first = min(int(name.split(".")[1], 16) for name in os.listdir(f"{cls.dir}/version-2")
                        if name.startswith("snapshot"))

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def restored(self, name, *arguments, source=None):
        server = Server(name)
        code, out, err = tool("restore", source or self.dir, server.cfg, *arguments)
        self.assertEqual(code, 0, err)
        server.start()
        try:
            return tree_of(server.port)
        finally:
            server.stop()

    def test_exact_transactions(self):
        acts = self.writer.acts
        self.assertGreater(len(acts), 100)
        rng = random.Random(SEED)
        last = acts[-1][0]
        zxids = [max(self.first, self.writer.begin), last, *(rng.randint(max(self.first, self.writer.begin), last) for _ in range(4))]
        for i, zxid in enumerate(zxids):
            with self.subTest(zxid=hex(zxid)):
                found = self.restored(f"exact{i}", "--zxid", hex(zxid))
                self.assertEqual(found, self.writer.tree(lambda act: act[0] <= zxid))

    def test_the_end(self):
        self.assertEqual(self.restored("end"), self.writer.tree(lambda act: True))

    def test_a_time(self):
        acts = [act for act in self.writer.acts if act[0] >= self.first]
        at = acts[len(acts) * 9 // 10][1]
        found = self.restored("time", "--time", at)
        self.assertEqual(found, self.writer.tree(lambda act: act[1] <= at))

    def test_later_backups_write_what_is_new(self):
        self.assertIn("nodes at zxid", self.lines[0])
        self.assertNotIn("nodes at zxid", self.lines[1])
        self.assertIn("nodes at zxid", self.lines[4])
        code, out, _ = tool("backup", self.server.cfg, self.dir)
        self.assertEqual(code, 0)
        code, out, _ = tool("backup", self.server.cfg, self.dir)
        self.assertIn("backed up: 0 transactions", out)

    def test_a_java_server_starts_from_it(self):
        copy = os.path.join(WORK, "for-java")
        shutil.copytree(self.dir, copy)
        server = Server("java", java=True, data=copy).start()
        try:
            self.assertEqual(tree_of(server.port), self.writer.tree(lambda act: True))
        finally:
            server.stop()

    def test_damage_is_found_before_anything_is_restored(self):
        code, out, _ = tool("restore", self.dir, "--verify")
        self.assertEqual(code, 0)
        self.assertIn("all as they were written", out)
        for kind in ("snapshot", "log", "MANIFEST"):
            with self.subTest(kind):
                copy = os.path.join(WORK, f"damaged-{kind}")
                shutil.copytree(self.dir, copy)
                names = [f"{copy}/version-2/{n}" for n in sorted(os.listdir(f"{copy}/version-2")) if n.startswith(kind)]
                victim = names[-1] if names else f"{copy}/MANIFEST"
                with open(victim, "r+b") as f:
                    f.seek(os.path.getsize(victim) // 2)
                    byte = f.read(1)
                    f.seek(-1, 1)
                    f.write(bytes([byte[0] ^ 4]))
                code, _, err = tool("restore", copy, "--verify")
                self.assertEqual(code, 1)
                self.assertIn(os.path.basename(victim), err)
                server = Server(f"refused-{kind}")
                code, _, err = tool("restore", copy, server.cfg)
                self.assertEqual(code, 1, err)
                # A new server, with nothing in it.
                server.start()
                try:
                    self.assertEqual(tree_of(server.port), {})
                finally:
                    server.stop()

    def test_data_is_not_restored_over(self):
        code, _, err = tool("restore", self.dir, self.server.cfg)
        self.assertEqual(code, 1)
        self.assertIn("in use", err.lower())
        server = Server("occupied").start()
        Connection(server.port, 10000).create("/n-mine", b"")
        server.stop()
        code, _, err = tool("restore", self.dir, server.cfg)
        self.assertEqual(code, 1)
        self.assertIn("holds data of this server already", err)
        server.start()
        self.assertEqual(tree_of(server.port), {"/n-mine": b""})
        server.stop()

    def test_the_data_of_another_server_is_not_mixed_in(self):
        server = Server("other").start()
        connection = Connection(server.port, 600000)
        while connection.last_zxid < self.writer.acts[-1][0] + 10:
            connection.create("/n-other", b"")
            connection.call(DELETE, text("/n-other") + struct.pack(">i", -1))
        code, _, err = tool("backup", server.cfg, self.dir)
        server.stop()
        self.assertEqual(code, 1)
        self.assertIn("of other data", err)

    def test_what_is_asked_for_has_to_be_there(self):
        server = Server("beyond")
        code, _, err = tool("restore", self.dir, server.cfg, "--zxid", hex(self.writer.acts[-1][0] + 10000))
        self.assertEqual(code, 1)
        self.assertIn("before what is asked for", err)

    def test_of_a_server_that_is_stopped(self):
        server = Server("stopped").start()
        Connection(server.port, 10000).create("/n-here", b"1")
        server.stop()
        to = os.path.join(WORK, "backup-stopped")
        code, _, err = tool("backup", server.cfg, to)
        self.assertEqual(code, 0, err)
        self.assertEqual(self.restored("from-stopped", source=to), {"/n-here": b"1"})
        # A server that stops brings its tree up to date, so the backup begins there.
        code, _, err = tool("restore", to, Server("before").cfg, "--zxid", "0x0")
        self.assertEqual(code, 1)
        self.assertIn("after what is asked for", err)


class Members(unittest.TestCase):
    """Of members of an ensemble only what is committed is taken."""

    def test_a_member_under_load(self):
        lines = [f"server.{i}=127.0.0.1:{free_port()}:{free_port()}" for i in (1, 2, 3)]
        members = []
        for i in (1, 2, 3):
            member = Server(f"member{i}")
            with open(member.cfg, "a") as f:
                f.write("initLimit=10\nsyncLimit=5\n" + "\n".join(lines) + "\n")
            os.makedirs(f"{member.dir}/data")
            with open(f"{member.dir}/data/myid", "w") as f:
                f.write(str(i))
            members.append(member)
        starts = [threading.Thread(target=member.start) for member in members]
        for start in starts:
            start.start()
        for start in starts:
            start.join()
        writer = Writer(members[0].port)
        writer.start()
        found = {}
        try:
            for i in range(4):
                time.sleep(0.5)
                for member in members[1:]:
                    to = os.path.join(WORK, f"backup-{os.path.basename(member.dir)}")
                    code, out, err = tool("backup", member.cfg, to)
                    self.assertEqual(code, 0, err)
                    found[to] = int(re.search(r"up to 0x([0-9a-f]+)", out).group(1), 16)
        finally:
            writer.end()
            for member in members:
                member.stop()
        for i, (to, last) in enumerate(found.items()):
            self.assertGreater(last, writer.begin)
            server = Server(f"from-member{i}")
            code, out, err = tool("restore", to, server.cfg)
            self.assertEqual(code, 0, err)
            server.start()
            self.assertEqual(tree_of(server.port), writer.tree(lambda act: act[0] <= last))
            server.stop()


class History(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("history").start()
        cls.one, cls.other = (Connection(cls.server.port, 600000) for _ in range(2))
        cls.one.create("/a", b"secret")
        cls.zxid = cls.one.last_zxid
        cls.other.create("/a/b", b"")
        cls.other.create("/ab", b"")
        cls.one.call(SET, text("/a") + blob(b"hidden") + struct.pack(">i", -1))
        cls.one.call(SET, text("/a") + blob(b"hidden") + struct.pack(">i", 77))

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def log(self, *arguments):
        code, out, err = tool("log", self.server.cfg, "--output", "json", *arguments)
        self.assertEqual(code, 0, err)
        return [(line["op"], line["path"], line["session"]) for line in map(json.loads, out.splitlines())]

    def test_of_a_node(self):
        one, other = (f"0x{c.session.id & (1 << 64) - 1:x}" for c in (self.one, self.other))
        self.assertEqual(self.log("--path", "/a"), [("create", "/a", one), ("setData", "/a", one)])
        self.assertEqual(self.log("--below", "/a"),
                         [("create", "/a", one), ("create", "/a/b", other), ("setData", "/a", one)])
        self.assertEqual(self.log("--session", other, "--below", "/"),
                         [("create", "/a/b", other), ("create", "/ab", other)])
        self.assertEqual(self.log("--zxid", hex(self.zxid)), [("create", "/a", one)])
        self.assertEqual(self.log("--since", "1h ago", "--path", "/ab"), [("create", "/ab", other)])
        self.assertEqual(self.log("--until", "1h ago"), [])

    def test_text_without_data(self):
        code, out, _ = tool("log", self.server.cfg)
        self.assertEqual(code, 0)
        self.assertIn("setData /a (version 1, 6 bytes)", out)
        self.assertIn("error (BAD_VERSION)", out)
        for word in ("secret", "hidden"):
            self.assertNotIn(word, out)

    def test_of_a_backup(self):
        to = os.path.join(WORK, "backup-history")
        self.assertEqual(tool("backup", self.server.cfg, to)[0], 0)
        code, out, err = tool("log", to, "--path", "/ab")
        self.assertEqual(code, 0, err)
        self.assertEqual(out.count("\n"), 1)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    sys.exit(bad > 0)
