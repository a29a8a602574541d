"""Commands of zkCli.sh, given to Java's and to ours, against one server: the same words have to come out. What cannot
be the same is made the same first: zxids, sessions, times; and events, which come when they come, are compared apart.

Arguments: the server's port. Environment: FERROKEEPER, CLASSPATH_JAVA, CLASSPATH_LOGGING (may be empty)."""

import difflib
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
import unittest

PORT = int(sys.argv.pop(1))
SERVER = f"127.0.0.1:{PORT}"
HERE = os.path.dirname(os.path.abspath(__file__))
OURS = [os.environ["FERROKEEPER"], "cli"]
JAVA = ["java", "-XX:TieredStopAtLevel=1", "-cp", os.environ["CLASSPATH_JAVA"], "org.apache.zookeeper.ZooKeeperMain"]
ENV = dict(os.environ, TZ="Europe/Berlin", LC_ALL="C")


def run(program, *arguments, given="", environment=None):
    """Output of both kinds in their order, and the exit code."""
    done = subprocess.run(
        [*program, "-server", SERVER, *arguments],
        input=given.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240,
        env=dict(ENV, **(environment or {})))
    return done.stdout.decode(), done.returncode


def split(text):
    """Events, and what is left, without what differs from run to run."""
    text = re.sub(r"0x[0-9a-f]+", "0xN", text)
    text = re.sub(r"time = .*", "time = T", text)
    text = re.sub(r"org\.apache\.commons\.cli\.\w+: ", "", text)
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and line != "WATCHER::"]
    lines = [line for line in lines if not line.startswith("SLF4J")]
    # Servers list ephemerals in no order.
    ordered = lambda line: "[" + ", ".join(sorted(line[1:-1].split(", "))) + "]"
    lines = [ordered(line) if line.startswith("[/") else line for line in lines]
    event = re.compile(r"WatchedEvent.*")
    events = [found.group(0) for line in lines if (found := event.search(line))]
    return sorted(re.sub(r"zxid: -?\d+", "zxid: N", e) for e in events), [l for l in lines if not event.search(l)]


def known(lines):
    """Ours without the commands that 3.9 does not have and its list therefore does not name."""
    return [line for line in lines if line not in ("\thelp [command]", "\texit")]


class Cli(unittest.TestCase):
    maxDiff = None

    def same(self, ours, java):
        """Fails with the lines that differ."""
        if ours != java:
            self.fail("\n".join(difflib.unified_diff(java, ours, "java", "ours", lineterm="", n=2)))

    def test_a_session(self):
        script = open(os.path.join(HERE, "session.txt")).read().replace("@SERVER@", SERVER)
        (java, java_code), (ours, our_code) = run(JAVA, given=script), run(OURS, given=script)
        (java_events, java_lines), (our_events, our_lines) = split(java), split(ours)
        self.same(known(our_lines), java_lines)
        # The session's own comings and goings depend on when the process ends.
        of_nodes = lambda events: [e for e in events if "type:None" not in e]
        self.same(of_nodes(our_events), of_nodes(java_events))
        self.assertEqual(our_code, java_code)

    def test_one_command(self):
        for arguments in (["ls", "/"], ["get", "/missing"], ["nonsense"], ["create", "/one", "two words"],
                          ["get", "-s", "/one"], ["-timeout", "5000", "delete", "/one"]):
            with self.subTest(arguments):
                (java, java_code), (ours, our_code) = run(JAVA, *arguments), run(OURS, *arguments)
                if arguments[0] == "create":
                    # The second finds it there.
                    self.assertIn("Created /one", java)
                    self.assertIn("Node already exists: /one", ours)
                    continue
                if "delete" in arguments:
                    self.assertEqual((java_code, our_code), (0, 1))
                    continue
                self.same(known(split(ours)[1]), split(java)[1])
                self.assertEqual(our_code, java_code)

    def test_dates_are_local(self):
        ours, _ = run(OURS, "stat", "/")
        self.assertIn("ctime = Thu Jan 01 01:00:00 CET 1970", ours)

    def test_json(self):
        def answer(*arguments):
            done = subprocess.run([*OURS, "-server", SERVER, "--output", "json", *arguments],
                                  capture_output=True, timeout=60)
            out = [json.loads(line) for line in done.stdout.splitlines()]
            err = [json.loads(line) for line in done.stderr.splitlines()]
            return out, err, done.returncode
        self.assertEqual(answer("create", "/j", 'a"b\n'), ([{"created": "/j"}], [], 0))
        (node,), _, _ = answer("get", "/j")
        self.assertEqual((node["data"], node["stat"]["dataLength"]), ('a"b\n', 4))
        answer("set", "-b", "/j", "/w==")
        (node,), _, _ = answer("get", "/j")
        self.assertEqual(node["dataBase64"], "/w==")
        (listed,), _, _ = answer("ls", "/")
        self.assertEqual(listed["children"], ["j", "zookeeper"])
        (tree,), _, _ = answer("ls", "-R", "/j")
        self.assertEqual(tree["paths"], ["/j"])
        (acl,), _, _ = answer("getAcl", "/j")
        self.assertEqual(acl["acl"], [{"scheme": "world", "id": "anyone", "perms": "cdrwa"}])
        out, (error,), code = answer("get", "/missing")
        self.assertEqual((out, code), ([], 1))
        self.assertEqual((error["error"]["name"], error["error"]["path"]), ("NO_NODE", "/missing"))
        self.assertEqual(answer("nonsense")[2], 127)
        self.assertEqual(answer("deleteall", "/j")[0], [{"deleted": 1}])

    def test_quiet_prints_the_result_alone(self):
        out, code = run(OURS, "--quiet", "ls", "/")
        self.assertEqual((out, code), ("[zookeeper]\n", 0))

    def test_chroot_several_servers_and_none(self):
        run(OURS, "create", "/chroot")
        program = OURS
        done = subprocess.run([*program, "-server", f"127.0.0.1:1,{SERVER}/chroot", "--quiet"],
                              input=b"create /in x\nls /\nls -w /\ncreate /in2\ndeleteall /in\n",
                              capture_output=True, timeout=60)
        text = done.stdout.decode()
        self.assertIn("[in]\n[in]\n", text)
        self.assertIn("type:NodeChildrenChanged path:/ ", text)
        self.assertEqual(run(OURS, "--quiet", "ls", "/chroot"), ("[in2]\n", 0))
        self.assertEqual(run(OURS, "--quiet", "deleteall", "/chroot"), ("", 0))
        began = time.monotonic()
        done = subprocess.run([*OURS, "-server", "127.0.0.1:1", "ls", "/"], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"KeeperErrorCode = ConnectionLoss for /", done.stderr)
        self.assertIn(b"127.0.0.1:1", done.stderr)

    def test_an_ephemeral_goes_with_the_command(self):
        run(OURS, "create", "-e", "/gone")
        self.assertEqual(run(OURS, "--quiet", "ls", "/"), ("[zookeeper]\n", 0))

    def test_a_large_tree_is_deleted_in_batches(self):
        script = "create /big\n" + "".join(f"create /big/n{i}\n" for i in range(250)) + "deleteall /big -b 7\nls /\n"
        out, code = run(OURS, "--quiet", given=script)
        self.assertEqual((out.splitlines()[-1], code), ("[zookeeper]", 0))

    def test_a_terminal(self):
        """Prompt, completion of commands and paths, events above the line."""
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm", HOME=os.environ["CLI_HOME"])
            os.execv(OURS[0], [*OURS, "-server", SERVER])
        seen = ""

        def wait_for(what):
            nonlocal seen
            deadline = time.monotonic() + 60
            while what not in seen:
                self.assertLess(time.monotonic(), deadline, f"no {what!r} in {seen!r}")
                if select.select([fd], [], [], 1)[0]:
                    seen += os.read(fd, 65536).decode(errors="replace")
            seen = seen[seen.index(what) + len(what):]

        def type_in(text):
            os.write(fd, text.encode())

        try:
            wait_for("type:None path:null")
            type_in("ls /zoo\t\r")
            wait_for("[config, quota]")
            type_in("getAllC\t/\r")
            wait_for("\n3\r")
            type_in("addWatch /\r")
            wait_for("(CONNECTED) 3]")
            type_in("create /seen 1\r")
            wait_for("type:NodeCreated path:/seen")
            type_in("delete /seen\r")
            wait_for("type:NodeDeleted path:/seen")
            type_in("addauth digest bob:topsecret\r")
            type_in("quit\r")
            _, status = os.waitpid(pid, 0)
            pid = 0
            # The last command that was to ask the server decides.
            self.assertEqual(os.waitstatus_to_exitcode(status), 0)
            history = os.path.join(os.environ["CLI_HOME"], ".ferrokeeper_history")
            self.assertIn("ls /zookeeper", open(history).read())
            self.assertNotIn("topsecret", open(history).read())
            self.assertEqual(os.stat(history).st_mode & 0o777, 0o600)
        finally:
            if pid:
                os.kill(pid, 9)
                os.waitpid(pid, 0)

    def test_tls(self):
        secure = ["-Dzookeeper.client.secure=true", f"-Dzookeeper.ssl.trustStore.location={os.environ['TLS_STORE']}"]
        port = os.environ["TLS_PORT"]
        program = [OURS[0], "cli", "-server", f"127.0.0.1:{port}", "--quiet"]
        done = subprocess.run([*program, *secure, "ls", "/"], capture_output=True, timeout=60)
        self.assertEqual((done.stdout, done.returncode), (b"[zookeeper]\n", 0), done.stderr)
        by_name = [OURS[0], "cli", "-server", f"ip6-localhost.invalid:{port},127.0.0.2:{port}", "--quiet"]
        # Not the host that the certificate is for, and no such host.
        done = subprocess.run([*by_name, *secure, "ls", "/"], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        done = subprocess.run([*program, "-timeout", "3000", "ls", "/"], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 1, "plaintext to the secure port")
        environment = dict(os.environ, CLIENT_JVMFLAGS=" ".join(secure))
        done = subprocess.run([OURS[0], "status", f"127.0.0.1:{port}"], capture_output=True, timeout=60, env=environment)
        self.assertIn(b"Client SSL: true.\nMode: standalone", done.stdout)

    def test_sasl(self):
        def flags(file, *others):
            return [f"-Djava.security.auth.login.config={file}", "-Dzookeeper.fips-mode=false", *others]

        def with_flags(program, *given):
            return [*program, *given] if program is OURS else [program[0], *given, *program[1:]]

        file = os.environ["JAAS"]
        bob, eve, wrong = (flags(file, *section) for section in
                           ([], ["-Dzookeeper.sasl.clientconfig=Eve"], ["-Dzookeeper.sasl.clientconfig=Wrong"]))
        _, code = run(with_flags(OURS, *bob), "create", "/secret", "for bob", "sasl:bob:cdrwa")
        self.assertEqual(code, 0)
        for program in (OURS, JAVA):
            with self.subTest(program):
                out, code = run(with_flags(program, *bob), "get", "/secret")
                self.assertIn("for bob", out)
                self.assertEqual(code, 0)
                self.assertIn("state:SaslAuthenticated", out)
                for other in ([], eve):
                    out, code = run(with_flags(program, *other), "get", "/secret")
                    self.assertIn("Insufficient permission : /secret", out)
                    self.assertEqual(code, 1)
                out, code = run(with_flags(program, *wrong), "get", "/secret")
                self.assertIn("AuthFailed", out)
                self.assertNotIn("for bob", out)
                self.assertEqual(code, 1)
        who = [run(with_flags(program, *bob), "whoami")[0].splitlines() for program in (OURS, JAVA)]
        for lines in who:
            self.assertIn("sasl: bob", lines)
        out, code = run(OURS, "--quiet", "get", "/secret", environment={"CLIENT_JVMFLAGS": " ".join(bob)})
        self.assertEqual((out, code), ("for bob\n", 0))
        # Each session proves it anew; what is asked meanwhile waits.
        done = subprocess.run([*with_flags(OURS, *bob), "-server", f"127.0.0.1:1,{SERVER}", "--quiet"], timeout=60,
                              input=f"get /secret\nconnect {SERVER}\ndelete /secret\n".encode(), capture_output=True)
        self.assertEqual((done.stdout, done.stderr), (b"for bob\n", b""))
        self.assertEqual(run(OURS, "--quiet", "ls", "/"), ("[zookeeper]\n", 0))
        # The file of a server, which JVMFLAGS gives to every program.
        out, code = run(OURS, "--quiet", "ls", "/", environment={"JVMFLAGS": flags(os.environ["SERVER_JAAS"])[0]})
        self.assertIn("no section Client", out)
        self.assertEqual((out.splitlines()[-1], code), ("[zookeeper]", 0))
        out, code = run(with_flags(OURS, *flags(file, "-Dzookeeper.sasl.clientconfig=Missing")), "ls", "/")
        self.assertIn("no section Missing", out)
        self.assertEqual(code, 2)

    def test_status(self):
        done = subprocess.run([OURS[0], "status", SERVER], capture_output=True, timeout=60)
        self.assertEqual(done.stdout.decode(),
                         f"Client port found: {PORT}. Client address: 127.0.0.1. Client SSL: false.\nMode: standalone\n")
        self.assertEqual(done.returncode, 0)
        done = subprocess.run([OURS[0], "status", SERVER, "--output", "json"], capture_output=True, timeout=60)
        self.assertEqual(json.loads(done.stdout)["mode"], "standalone")
        done = subprocess.run([OURS[0], "status", "127.0.0.1:1"], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"Error contacting service. It is probably not running.", done.stdout)

    def test_bench(self):
        def bench(*arguments):
            return subprocess.run([OURS[0], "bench", *arguments], capture_output=True, text=True, timeout=60)

        done = bench("mixed", "--server", SERVER, "--connections", "2", "--depth", "3", "--seconds", "0.3",
                     "--warmup", "0.1", "--json", "-")
        self.assertEqual(done.returncode, 0, done.stderr)
        figures = json.loads(done.stdout)
        self.assertEqual((figures["connections"], figures["depth"]), (2, 3))
        self.assertGreater(figures["per_second"], 0)
        self.assertGreater(figures["p50_us"], 0)
        out, _ = run(OURS, "ls", "/")
        self.assertNotIn("zkload", out, "it removes what it made")
        self.assertEqual(bench("get", "--server", "127.0.0.1:1").returncode, 1)
        wrong = bench("gett")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("ferrokeeper bench", bench("--help").stdout)


if __name__ == "__main__":
    program = unittest.main(exit=False)
    result = program.result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    sys.exit(bad > 0)
