"""Servers of an ensemble as processes of their own: start, stop, kill, pause, replace, ask.

The implementations can be mixed: every server has a kind, `java-3.9`, `java-3.8`, `debian` or `ferrokeeper`. Nothing
here speaks the client protocol beyond four-letter words."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback

import wire
from ports import free_port

PATIENCE = 90  # seconds; only something broken lets a test wait that long
KINDS = ("java-3.9", "java-3.8", "debian", "ferrokeeper")
DEBIAN_JAR = "/usr/share/java/zookeeper.jar"
SUPER_PASSWORD = "super:test"
SUPER_DIGEST = "super:D/InIHSb7yEEbrWz8b9l71RjZJU="

# The JVM of a test server: small, and quick to start on a machine with few cores.
TEST_JVM = "-Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"

LOGBACK = """<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{HH:mm:ss.SSS} %-5level [%thread] %logger{0} - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="out"/></root>
</configuration>
"""


class Failed(AssertionError):
    """What a scenario reports."""


def eventually(what, condition, patience=PATIENCE):
    """Waits until the condition gives something true, and returns it."""
    deadline = time.monotonic() + patience
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise Failed(f"waited {patience} s in vain: {what() if callable(what) else what}")
        time.sleep(0.02)


def ask(address, word, patience=5):
    """The answer to a four-letter word; None when nobody answers. A number is a port of this machine."""
    try:
        with socket.create_connection(wire.address_of(address), patience) as connection:
            connection.settimeout(patience)
            connection.sendall(word.encode())
            data = b""
            while True:
                try:
                    chunk = connection.recv(65536)
                except ConnectionResetError:
                    break
                if not chunk:
                    break
                data += chunk
            return data.decode(errors="replace")
    except OSError:
        return None


class Server:
    """One member: its ports and its directory stay, its process and its kind change."""

    def __init__(self, cluster, sid, kind, role="participant"):
        self.cluster, self.sid, self.role = cluster, sid, role
        self.client_port, self.quorum_port, self.election_port = free_port(), free_port(), free_port()
        self.directory = os.path.join(cluster.directory, f"server{sid}")
        self.data = os.path.join(self.directory, "data")
        self.config = os.path.join(self.directory, "zoo.cfg")
        self.process = None
        self.paused = False
        self.runs = 0
        # Digests that did not match while a snapshot was completed, and up to where remembered ones do not count.
        self.excused_run = self.excused = self.forgotten = 0
        self.kind = kind

    def __str__(self):
        return f"server {self.sid} ({self.kind}, {self.role}, client port {self.client_port})"

    @property
    def line(self):
        """The server's address, as reconfig wants it."""
        return (f"server.{self.sid}=127.0.0.1:{self.quorum_port}:{self.election_port}:{self.role}"
                f";127.0.0.1:{self.client_port}")

    # -- process --

    def configure(self, members=None):
        """Writes zoo.cfg and myid, with the cluster's members or the given ones."""
        if self.kind not in KINDS:
            raise Failed(f"no such kind of server: {self.kind}")
        os.makedirs(self.data, exist_ok=True)
        for name in os.listdir(self.directory):
            if name.startswith("zoo.cfg"):
                os.remove(os.path.join(self.directory, name))
        with open(os.path.join(self.data, "myid"), "w") as file:
            file.write(f"{self.sid}\n")
        settings = dict(self.cluster.settings)
        settings["dataDir"] = self.data
        with open(self.config, "w") as file:
            for key, value in settings.items():
                file.write(f"{key}={value}\n")
            for member in members or self.cluster.servers.values():
                file.write(member.line + "\n")

    def start(self):
        assert self.process is None, f"{self} runs"
        if not os.path.exists(self.config):
            self.configure()
        self.runs += 1
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                start_new_session=True)
        # For whoever cleans up after a test that was killed itself.
        with open(os.path.join(self.directory, "server.pid"), "w") as file:
            file.write(f"{self.process.pid}\n")

    def command(self):
        if self.kind == "ferrokeeper":
            return [os.environ["FERROKEEPER"], "server", self.config]
        if self.kind == "debian":
            # The package has no logging library of its own choice on this path: its servers are silent.
            classpath = DEBIAN_JAR
        else:
            classpath = os.environ["CLASSPATH_" + self.kind.replace("-", "_").replace(".", "_").upper()]
        return ["java", *self.cluster.jvm.split(), f"-Dlogback.configurationFile={self.cluster.logback}",
                "-cp", classpath, "org.apache.zookeeper.server.quorum.QuorumPeerMain", self.config]

    def running(self):
        return self.process is not None and self.process.poll() is None

    def end(self, how=signal.SIGKILL):
        """Ends the process with that signal."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(how)
            if self.paused and how != signal.SIGKILL:
                self.process.send_signal(signal.SIGCONT)
        self.paused = False
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed(f"{self} did not end within {PATIENCE} s of signal {how}") from None
        finally:
            self.process = None

    def kill(self):
        self.end(signal.SIGKILL)

    def stop(self):
        self.end(signal.SIGTERM)

    def pause(self):
        """Returns when no thread runs any more: the signal alone does not mean that."""
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True
        eventually(f"{self} stands still", lambda: self.thread_states() <= {"T"})

    def thread_states(self):
        states, tasks = set(), f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/stat") as file:
                states.add(file.read().rpartition(")")[2].split()[0])
        return states

    def resume(self):
        self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def wipe(self):
        """Loses everything but the server's number."""
        assert self.process is None, f"{self} runs"
        shutil.rmtree(self.data)
        os.makedirs(self.data)
        with open(os.path.join(self.data, "myid"), "w") as file:
            file.write(f"{self.sid}\n")

    def must_run(self):
        """Raises if it has ended by itself. A Java server of 3.9 ends when its role does while its CommitProcessor has
        applied a transaction and not yet remembered it for its learners: what it then reads from its own log comes behind
        a hole ("Committed proposal cached out of order"). It comes back with everything, so it is started again, as a
        supervisor does; whether something is missing the comparison of the trees tells."""
        if self.process.poll() is None:
            return
        log = self.log()
        if self.kind != "ferrokeeper" and "Committed proposal cached out of order" in log and "fastForwardDataBase" in log:
            print(f"    {self} has ended in its own shutdown and is started again", flush=True)
            self.process = None
            return self.start()
        raise Failed(f"{self} ended with status {self.process.returncode}; its log ends with\n"
                     + "".join(log.splitlines(keepends=True)[-25:]))

    def replace(self, kind, keep_data=False):
        """Another implementation takes the place of the stopped server: without data, or with those of the one before."""
        assert self.process is None, f"{self} runs"
        before, self.kind = self.kind, kind
        if not keep_data:
            shutil.rmtree(self.data)
        elif before == "ferrokeeper" and kind != before:
            # A directory of its own for each Java server: what the one before has left is older.
            exported = os.path.join(self.directory, f"data{self.runs}")
            self.ferrokeeper("export", self.config, exported)
            self.data = exported
        self.configure()
        if keep_data and kind == "ferrokeeper" and kind != before:
            self.ferrokeeper("import", self.config)

    def ferrokeeper(self, *arguments):
        """Runs one of the binary's commands."""
        done = subprocess.run(
            [os.environ["FERROKEEPER"], *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0 or done.stderr:
            raise Failed(f"{self}: {arguments[0]} ends with status {done.returncode}: {done.stdout}{done.stderr}")

    def take_over(self, kind):
        """Another implementation starts with the configuration that the stopped one left; data are the ensemble's."""
        assert self.process is None, f"{self} runs"
        shutil.rmtree(self.data)
        os.makedirs(self.data)
        with open(os.path.join(self.data, "myid"), "w") as file:
            file.write(f"{self.sid}\n")
        self.kind = kind

    # -- what it says --

    @property
    def address(self):
        """Where clients find it."""
        return self.client_port

    def word(self, word):
        return ask(self.address, word)

    def status(self):
        """The lines of srvr as a dictionary; empty unless the server serves."""
        if self.paused:
            return {}
        answer = self.word("srvr") or ""
        if "Mode: " not in answer:
            return {}
        return dict(line.split(": ", 1) for line in answer.splitlines() if ": " in line)

    def mode(self):
        """leader, follower, observer, read-only, or None."""
        return self.status().get("Mode")

    def zxid(self):
        return int(self.status().get("Zxid", "-1"), 16)

    def mntr(self):
        """The figures of mntr, without the prefix."""
        pairs = (line.split("\t", 1) for line in (self.word("mntr") or "").splitlines() if "\t" in line)
        return {key.removeprefix("zk_"): value for key, value in pairs}

    @property
    def log_path(self):
        return os.path.join(self.directory, f"log.{self.runs}.{self.kind}")

    def log(self):
        """What the present process has logged."""
        try:
            with open(self.log_path, errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def on_disk(self, marker):
        """Whether some file of the data directory holds these bytes."""
        for directory, _, names in os.walk(self.data):
            for name in names:
                try:
                    with open(os.path.join(directory, name), "rb") as file:
                        # Java preallocates logs: what matters is in the first megabytes, the rest is a hole.
                        if marker in file.read(8 << 20):
                            return True
                except OSError:
                    pass
        return False


class Cluster:
    """The servers of one ensemble. Participants first; the first kind is that of the leader-to-be."""

    server = Server

    def __init__(self, directory, kinds, observers=(), settings=None, jvm=TEST_JVM):
        """The first of `kinds` gets the greatest number of the participants: elections among equals end with it."""
        self.directory = directory
        os.makedirs(directory)
        self.jvm = jvm
        self.logback = os.path.join(directory, "logback.xml")
        with open(self.logback, "w") as file:
            file.write(LOGBACK)
        self.settings = {
            "tickTime": 500, "initLimit": 40, "syncLimit": 10, "minSessionTimeout": 1000, "maxSessionTimeout": 60000,
            "admin.enableServer": "false", "4lw.commands.whitelist": "*", "maxClientCnxns": 0,
            "DigestAuthenticationProvider.superDigest": SUPER_DIGEST, "extendedTypesEnabled": "true",
        }
        self.settings.update(settings or {})
        self.servers = {}
        for sid, kind in enumerate(reversed(kinds), 1):
            self.servers[sid] = self.server(self, sid, kind)
        for kind in observers:
            self.add(kind, "observer")
        atexit.register(self.end)

    def add(self, kind, role="participant"):
        """One more server, that the running ones do not know; not started."""
        sid = max(self.servers) + 1
        self.servers[sid] = self.server(self, sid, kind, role)
        return self.servers[sid]

    def __iter__(self):
        return iter(list(self.servers.values()))

    def __getitem__(self, sid):
        return self.servers[sid]

    def participants(self):
        return [server for server in self if server.role == "participant"]

    def observers(self):
        return [server for server in self if server.role == "observer"]

    def start(self):
        """Starts a new ensemble so that the participant with the greatest number leads."""
        first = self.participants()[-1]
        needed = len(self.participants()) // 2
        others = self.participants()[:-1]
        for server in [first, *others[-needed:]] if needed else [first]:
            server.start()
        self.wait_serving(first)
        if len(self.participants()) > 1 and first.mode() != "leader":
            raise Failed(f"{first} is {first.mode()}, although nobody has more")
        for server in self:
            if server.process is None:
                server.start()
        self.wait_serving()

    def wait_serving(self, *servers):
        """Until each of the servers (default: all that run) serves, with the mode of its role."""
        wanted = list(servers) or [server for server in self if server.process and not server.paused]

        def serving():
            for server in wanted:
                server.must_run()
            modes = [server.mode() for server in wanted]
            return all((mode == "observer") == (server.role == "observer") and mode not in (None, "read-only")
                       for server, mode in zip(wanted, modes))

        eventually(lambda: "serving: " + ", ".join(f"{server}: {server.mode()}" for server in self), serving)

    def wait_serving_as_guest(self, server):
        """Until a server that is not a member yet has what the leader has: it serves as what it is going to be."""
        def serves():
            server.must_run()
            return server.mode() in ("follower", "observer")
        eventually(lambda: f"{server} serves as a guest", serves)

    def leader(self):
        """The server that leads; waits until there is one."""
        def leads():
            found = [server for server in self if server.process and server.mode() == "leader"]
            return found[0] if len(found) == 1 else None
        return eventually("a leader", leads)

    def followers(self):
        leader = self.leader()
        return [server for server in self.participants() if server is not leader and server.process]

    def running(self):
        return [server for server in self if server.process]

    def wait_equal_zxid(self):
        """Until all that run are at the same zxid, which is returned. Only meaningful when nothing is written."""
        def equal():
            seen = {server.zxid() for server in self.running()}
            return seen.pop() if len(seen) == 1 and -1 not in seen else None
        return eventually(
            lambda: "equal zxids: " + ", ".join(f"{server}: {server.zxid():#x}" for server in self.running()), equal)

    def end(self):
        """Kills what still runs."""
        for server in self:
            if server.process:
                server.kill()


def trial(title, it, *checks):
    """Puts an ensemble to the checks, says how it went, and ends it. True if all of them held."""
    begun = time.monotonic()
    try:
        for check in checks:
            check(it)
        print(f"ok    {title} ({time.monotonic() - begun:.0f} s)", flush=True)
        return True
    except Exception as error:
        if not isinstance(error, Failed):
            traceback.print_exc()
        print(f"FAIL  {title}: {error}", flush=True)
        for server in it:
            lines = [line for line in server.log().splitlines() if "Processing " not in line]
            print("\n        ".join([f"      the log of {server} ends with", *lines[-15:]]))
        return False
    finally:
        it.end()


def conclude(outcomes):
    """The closing line of a suite, and its exit."""
    passed, failed = outcomes.count(True), outcomes.count(False)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)
