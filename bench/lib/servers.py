"""Starting, pausing, stopping and measuring the two servers. Knows nothing of works and targets."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Behind this directory: both have a servers.py.
sys.path.append(os.path.join(PROJECT, "compat-tests", "lib"))
from ports import free_port  # noqa: E402

TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(PROJECT, "target"))
ZK_VERSION = os.environ.get("ZK_VERSION", "3.9.5")
JAVA, FERRO = "java", "ferrokeeper"

CONFIG = """dataDir={dir}/data
clientPort={port}
clientPortAddress=127.0.0.1
tickTime=2000
admin.enableServer=false
4lw.commands.whitelist=*
maxClientCnxns=0
"""


class Failed(Exception):
    pass


def build(wanted, heap):
    """Builds the load generator and, unless FERROKEEPER names a binary, the server. Returns the commands."""
    cargo = ["cargo", "build", "--release"]
    subprocess.run(cargo + ["-p", "ferrokeeper-bench", "--bin", "zkload"], cwd=PROJECT, check=True)
    commands = {"zkload": os.path.join(TARGET, "release", "zkload")}
    if FERRO in wanted:
        binary = os.environ.get("FERROKEEPER")
        if not binary:
            subprocess.run(cargo + ["-p", "ferrokeeper"], cwd=PROJECT, check=True)
            binary = os.path.join(TARGET, "release", "ferrokeeper")
        commands[FERRO] = [binary, "server"]
    if JAVA in wanted:
        script = f'set -euo pipefail; source compat-tests/lib/env.sh; java_classpath {ZK_VERSION}'
        found = subprocess.run(["bash", "-c", script], cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True)
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        commands[JAVA] = ["java", f"-Xmx{heap}", "-cp", found.stdout.strip(), main]
    return commands


def refuse_memory_disk(directory):
    kind = subprocess.run(["stat", "-f", "-c", "%T", directory], check=True, stdout=subprocess.PIPE, text=True)
    if kind.stdout.strip() in ("tmpfs", "ramfs"):
        raise SystemExit(f"{directory} is in memory: fsync costs nothing there. Choose a real disk with --dir")


class Server:
    def __init__(self, kind, command, directory, more_config="", port=None):
        """`port`: for a member of an ensemble, whose port the others know; otherwise a new one for each start."""
        self.kind, self.command, self.dir, self.more_config = kind, command, directory, more_config
        self.process = None
        self.port = self.fixed_port = port
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)

    def launch(self):
        self.port = self.fixed_port or free_port()
        config = os.path.join(self.dir, "zoo.cfg")
        with open(config, "w") as f:
            f.write(CONFIG.format(dir=self.dir, port=self.port) + self.more_config)
        with open(os.path.join(self.dir, "server.log"), "a") as log:
            self.process = subprocess.Popen(self.command + [config], stdout=log, stderr=log, cwd=self.dir)

    def start(self, timeout=300):
        """Starts on the data that is there; returns the seconds from exec until it serves."""
        begun = time.monotonic()
        self.launch()
        self.wait_serving(timeout)
        return time.monotonic() - begun

    def wait_serving(self, timeout=300):
        begun = time.monotonic()
        while time.monotonic() < begun + timeout:
            if self.mode():
                return
            if self.process.poll() is not None:
                raise Failed(f"{self.kind} ended before it served, see {self.dir}/server.log")
            time.sleep(0.002)
        raise Failed(f"{self.kind} does not serve after {timeout} s, see {self.dir}/server.log")

    def mode(self):
        """standalone, leader, follower; None while it does not serve."""
        found = re.search(r"Mode: (\S+)", self.word("srvr"))
        return found.group(1) if found else None

    def addresses(self):
        return f"127.0.0.1:{self.port}"

    def pids(self):
        return str(self.process.pid)

    def word(self, word):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                s.sendall(word.encode())
                return s.makefile("rb").read().decode()
        except OSError:
            return ""

    def count(self, what):
        found = re.search(what + r": (\d+)", self.word("srvr"))
        return int(found.group(1)) if found else 0

    def node_count(self):
        return self.count("Node count")

    def connections(self):
        """Without the one that asks."""
        return self.count("Connections") - 1

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self, sig=signal.SIGTERM, timeout=120):
        if not self.alive():
            return
        self.resume()
        self.process.send_signal(sig)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed(f"{self.kind} did not end within {timeout} s of {sig.name}") from None

    def remove(self):
        if self.alive():
            self.resume()
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) * 1024

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def disk_bytes(self):
        """Blocks in use below the data directory. Files may come and go while we look."""
        total = 0
        for path, _, files in os.walk(os.path.join(self.dir, "data")):
            for name in files:
                try:
                    total += os.lstat(os.path.join(path, name)).st_blocks * 512
                except FileNotFoundError:
                    pass
        return total


class Bare(Server):
    """What answers at once and keeps nothing."""

    def __init__(self, zkload, directory):
        super().__init__("bare", [zkload, "bare"], directory)

    def launch(self):
        self.port = free_port()
        self.process = subprocess.Popen(self.command + ["--server", self.addresses()])

    def mode(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            return "bare"
        except OSError:
            return None


class Load:
    """Runs zkload; its figures come back as a dict."""

    def __init__(self, zkload):
        self.zkload = zkload

    def start(self, server, args):
        command = [self.zkload] + args + ["--json", "-"]
        if server is not None:
            command += ["--server", server.addresses(), "--pid", server.pids()]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, process, timeout):
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Failed(f"the load generator did not end within {timeout} s") from None
        print("   ", err.strip(), flush=True)
        if process.returncode != 0:
            raise Failed(err.strip().splitlines()[-1] if err.strip() else "the load generator failed")
        return json.loads(out)

    def run(self, server, args, timeout=900):
        """`others_cores` in the result: how many cores were busy with anything else meanwhile."""
        def busy_and_ours():
            ours = resource.getrusage(resource.RUSAGE_CHILDREN)
            own = ours.ru_utime + ours.ru_stime + (server.cpu_seconds() if server else 0)
            return time.monotonic(), busy_seconds(), own

        # What others left unwritten would go to the disk meanwhile: a Java server's snapshots do.
        os.sync()
        before = busy_and_ours()
        done = self.finish(self.start(server, args), timeout)
        elapsed, busy, ours = (b - a for a, b in zip(before, busy_and_ours()))
        done["others_cores"] = round(max(busy - ours, 0) / elapsed, 2)
        return done


def busy_seconds():
    """CPU time of the whole machine that was neither idle nor waiting for a disk."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq = (int(n) for n in f.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def machine(wanted, commands):
    """What the figures depend on, for the head of the table."""
    def first(command):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else "unknown"

    with open("/proc/cpuinfo") as f:
        cpu = re.search(r"model name\s*: (.*)", f.read())
    with open("/proc/meminfo") as f:
        memory = int(re.search(r"MemTotal:\s+(\d+)", f.read()).group(1)) / 1024 / 1024
    facts = {
        "cpu": f"{os.cpu_count()} x {cpu.group(1) if cpu else 'unknown'}",
        "memory": f"{memory:.0f} GiB",
        "kernel": os.uname().release,
        "zookeeper": ZK_VERSION,
    }
    # How long an idle processor of a virtual machine waits for work before it is given back to the host.
    polling = "/sys/module/haltpoll/parameters/guest_halt_poll_ns"
    if os.path.exists(polling):
        with open(polling) as f:
            facts["halt_poll_us"] = int(f.read()) // 1000
    if JAVA in wanted:
        facts["java"] = first(["java", "-version"])
    if FERRO in wanted:
        facts["ferrokeeper"] = first([commands[FERRO][0], "--version"])
    return facts
