"""Ensembles of three servers of each kind. While one ensemble is measured, the other one is paused as a whole."""

import os
import re
import shutil
import subprocess
import threading
import time

from comparison import Comparison
from rows import FERRO, JAVA
from servers import PROJECT, Failed, Server
from ports import free_ports  # found by what `servers` says

SIZE = 3
# Who was paused must not be taken for dead by those that wake up before it.
LIMITS = {"initLimit": 600, "syncLimit": 600}

# The tree of a follower that joins, and the steady load beside it.
ZNODES, ZNODES_QUICK = 1_000_000, 20_000
STEADY_RATE, STEADY_SECONDS, STEADY_SECONDS_QUICK = 4000, 60, 8
# When, in the measured time, the follower is gone and comes back.
WIPED_AT = 1 / 6
# Seconds of everything around it, for the estimate.
FILL_SECONDS, JOIN_SECONDS, FAILOVER_SECONDS, FAILOVER_ROUNDS = 240, 25, 12, 30


class Ensemble:
    """Three servers, to those who measure as good as one."""

    def __init__(self, kind, command, directory):
        ports = free_ports(3 * SIZE)
        ports = [ports[3 * i : 3 * i + 3] for i in range(SIZE)]
        common = "".join(f"{key}={value}\n" for key, value in LIMITS.items())
        common += "".join(f"server.{n}=127.0.0.1:{quorum}:{election}\n"
                          for n, (_, quorum, election) in enumerate(ports, 1))
        self.kind, self.dir = kind, directory
        self.servers = [Server(kind, command, f"{directory}-{n}", common, port)
                        for n, (port, _, _) in enumerate(ports, 1)]
        for server in self.servers:
            self.number(server)

    def number(self, server):
        data = os.path.join(server.dir, "data")
        os.makedirs(data, exist_ok=True)
        with open(os.path.join(data, "myid"), "w") as f:
            f.write(f"{self.servers.index(server) + 1}\n")

    def start(self, timeout=300):
        for server in self.servers:
            server.launch()
        self.wait_serving(timeout)

    def wait_serving(self, timeout=300):
        for server in self.servers:
            server.wait_serving(timeout)

    def followers(self):
        found = [server for server in self.servers if server.mode() == "follower"]
        if len(found) != SIZE - 1:
            raise Failed(f"{self.kind}: {len(found)} followers of {SIZE} servers")
        return found

    def wipe(self, server):
        """A member that comes back has nothing but its number. What it had goes later: freeing its blocks keeps the disk
        busy, which here is that of the others as well."""
        server.stop()
        os.rename(os.path.join(server.dir, "data"), os.path.join(server.dir, "wiped"))
        self.number(server)

    def sweep(self):
        for server in self.servers:
            shutil.rmtree(os.path.join(server.dir, "wiped"), ignore_errors=True)

    # As a single server has it.

    def addresses(self, without=None):
        """Followers first: what has one connection goes to one of them, as most clients do."""
        ordered = sorted(self.servers, key=lambda server: server.mode() == "leader")
        return ",".join(server.addresses() for server in ordered if server is not without)

    def pids(self, without=None):
        return ",".join(server.pids() for server in self.servers if server is not without)

    def cpu_seconds(self):
        return sum(server.cpu_seconds() for server in self.servers)

    def alive(self):
        return all(server.alive() for server in self.servers)

    def pause(self):
        for server in self.servers:
            server.pause()

    def resume(self):
        for server in self.servers:
            server.resume()
        self.wait_serving()

    def remove(self):
        for server in self.servers:
            server.remove()


class Without:
    """An ensemble as a load sees it that keeps away from one member."""

    def __init__(self, ensemble, member):
        self.ensemble, self.member = ensemble, member

    def addresses(self):
        return self.ensemble.addresses(self.member)

    def pids(self):
        return self.ensemble.pids(self.member)

    def cpu_seconds(self):
        return sum(server.cpu_seconds() for server in self.ensemble.servers if server is not self.member)


class EnsembleComparison(Comparison):
    def __init__(self, options, commands, results):
        super().__init__(options, commands, results)
        self.znodes = ZNODES_QUICK if options.quick else ZNODES
        self.filled = {}

    def new_server(self, kind, name):
        return Ensemble(kind, self.commands[kind], os.path.join(self.options.dir, f"{kind}-{name}"))

    def special(self):
        return {"failover": self.failover, "join": self.join, "steady": self.steady}

    def estimate_special(self, row):
        o = self.options
        each = {"failover": FAILOVER_SECONDS * (3 if o.quick else FAILOVER_ROUNDS),
                "join": (20 if o.quick else FILL_SECONDS) + JOIN_SECONDS * o.rounds,
                "steady": (STEADY_SECONDS_QUICK if o.quick else STEADY_SECONDS) * o.rounds + 20}
        return each[row.name] * len(self.kinds)

    def failover(self, row):
        """The harness of the compatibility tests measures this: its ensembles, its clients."""
        rounds = 3 if self.options.quick else FAILOVER_ROUNDS
        names = {JAVA: "java-3.9", FERRO: "ferrokeeper"}
        mixes = {",".join([names[kind]] * SIZE): kind for kind in self.kinds}
        command = [os.path.join(PROJECT, "compat-tests", "ensemble", "run.sh"), "failover", "--rounds", str(rounds)]
        for mix in mixes:
            command += ["--mix", mix]
        env = dict(os.environ)
        if FERRO in self.commands:
            env["FERROKEEPER"] = self.commands[FERRO][0]
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True)
        for line in done.stdout.splitlines():
            print("   ", line, flush=True)
            if found := re.match(r"round \d+: ([^:]+): (\d+) ms", line):
                self.note(row, mixes[found.group(1)], {"ms": int(found.group(2))})
        if done.returncode != 0:
            raise Failed(f"failover.py ended with {done.returncode}")

    # Works with a million znodes: one ensemble of each kind for all of them.

    def filled_ensemble(self, kind):
        ensemble = self.filled.get(kind)
        if ensemble is None:
            ensemble = self.new_server(kind, "filled")
            ensemble.start()
            args = ["fill", "--nodes", str(self.znodes), "--connections", "9", "--depth", "100", "--keep"]
            self.load.run(ensemble, args, timeout=3000)
            time.sleep(1 if self.options.quick else 15)
            self.filled[kind] = ensemble
        else:
            ensemble.resume()
        return ensemble

    def each_round(self, row, measure):
        for n in range(self.options.rounds):
            print(f"  {row.name}: round {n + 1} of {self.options.rounds}", flush=True)
            for kind in self.kinds:
                if kind in self.results["rows"].get(row.name, {}).get("failed", {}):
                    continue
                try:
                    ensemble = self.filled_ensemble(kind)
                    self.note(row, kind, measure(ensemble))
                    ensemble.sweep()
                    ensemble.wait_serving()
                    ensemble.pause()
                except (Failed, OSError, subprocess.SubprocessError) as why:
                    self.fail(row, kind, why)
                    if kind in self.filled:
                        self.filled.pop(kind).remove()

    def bring_back(self, ensemble, member):
        """Seconds from the start of an empty member until it serves, with all znodes."""
        took = member.start()
        if member.node_count() < self.znodes:
            raise Failed(f"{member.node_count()} znodes of {self.znodes} at the member that joined")
        return took

    def join(self, row):
        def measure(ensemble):
            member = ensemble.followers()[0]
            ensemble.wipe(member)
            took = self.bring_back(ensemble, member)
            print(f"    {ensemble.kind}: joined in {took:.2f} s", flush=True)
            return {"znodes": self.znodes, "join_s": took}

        self.each_round(row, measure)

    def steady(self, row):
        """Writes in the open loop, each counted from when it should have left. In the middle of it a member is lost."""
        seconds = STEADY_SECONDS_QUICK if self.options.quick else STEADY_SECONDS
        args = ["set-filled", "--nodes", str(self.znodes), "--connections", "50", "--rate", str(STEADY_RATE),
                "--warmup", str(self.options.warmup), "--seconds", str(seconds)]

        def measure(ensemble):
            member = ensemble.followers()[0]
            took, problems = [], []

            def lose():
                try:
                    time.sleep(self.options.warmup + WIPED_AT * seconds)
                    ensemble.wipe(member)
                    took.append(self.bring_back(ensemble, member))
                except (Failed, OSError) as why:
                    problems.append(why)

            thread = threading.Thread(target=lose)
            thread.start()
            try:
                result = self.load.run(Without(ensemble, member), args)
            finally:
                thread.join()
            if problems:
                raise problems[0]
            print(f"    {ensemble.kind}: joined in {took[0]:.2f} s meanwhile", flush=True)
            return result | {"join_s": took[0], "rate": STEADY_RATE}

        self.each_round(row, measure)

    def end(self):
        super().end()
        for ensemble in self.filled.values():
            ensemble.remove()
