"""Measures row after row, one server after the other, round after round. Knows no single row, nor what its servers are."""

import os
import subprocess

from rows import FERRO, JAVA
from servers import Bare, Failed, Load


class Comparison:
    def __init__(self, options, commands, results):
        self.options, self.commands, self.results = options, commands, results
        self.load = Load(commands["zkload"])
        self.kinds = [kind for kind in (JAVA, FERRO) if kind in commands]
        self.shared = {}
        self.failures = []

    def new_server(self, kind, name):
        raise NotImplementedError

    def special(self):
        """Works that start servers of their own, by the names of their rows."""
        raise NotImplementedError

    def estimate_special(self, row):
        raise NotImplementedError

    def estimate(self, rows):
        """Seconds that these rows will take, on a machine that does nothing else."""
        o, total = self.options, 0
        for row in rows:
            if not row.args:
                total += self.estimate_special(row)
                continue
            total += o.rounds * (len(self.kinds) * (o.warmup + o.seconds + 1) + (o.seconds + 2 if row.floor else 0))
            total += o.warmup + o.seconds + 1 if row.bare else 0
            total += o.java_warmup + 1 if JAVA in self.kinds else 0
        return total

    def note(self, row, kind, result):
        self.results["rows"].setdefault(row.name, {}).setdefault(kind, []).append(result)

    def fail(self, row, kind, why):
        print(f"    FAILED: {why}", flush=True)
        self.failures.append(f"{row.name}, {kind}: {why}")
        self.results["rows"].setdefault(row.name, {}).setdefault("failed", {})[kind] = str(why)

    # Works that share one long-lived pair of servers.

    def shared_server(self, kind):
        server = self.shared.get(kind)
        if server is None or not server.alive():
            server = self.shared[kind] = self.new_server(kind, "load")
            server.start()
            server.pause()
        return server

    def load_row(self, row):
        o = self.options
        broken = set()

        def one(kind, warmup, seconds):
            server = self.shared_server(kind)
            server.resume()
            try:
                return self.load.run(server, row.args + ["--warmup", str(warmup), "--seconds", str(seconds)])
            finally:
                if server.alive():
                    server.pause()

        if JAVA in self.kinds:
            # The JIT compiles what runs often: without this the first rounds would measure the interpreter.
            try:
                print(f"  {row.name}: warming {JAVA} up", flush=True)
                one(JAVA, 0, o.java_warmup)
            except Failed as why:
                broken.add(JAVA)
                self.fail(row, JAVA, why)
        for n in range(o.rounds):
            print(f"  {row.name}: round {n + 1} of {o.rounds}", flush=True)
            for kind in self.kinds:
                if kind in broken:
                    continue
                try:
                    self.note(row, kind, one(kind, o.warmup, o.seconds))
                except Failed as why:
                    broken.add(kind)
                    self.fail(row, kind, why)
            if row.floor:
                args = ["floor", "--dir", o.dir, "--warmup", "1", "--seconds", str(o.seconds)]
                self.note(row, "floor", self.load.run(None, args))
        if row.bare:
            server = Bare(self.commands["zkload"], os.path.join(o.dir, "bare"))
            try:
                server.start()
                args = row.args + ["--warmup", str(o.warmup), "--seconds", str(o.seconds)]
                self.note(row, "bare", self.load.run(server, args))
            finally:
                server.remove()

    def run(self, row):
        print(f"{row.title}", flush=True)
        # A row that runs again replaces its old results.
        self.results["rows"][row.name] = {}
        try:
            self.special().get(row.name, self.load_row)(row)
        except (Failed, OSError, subprocess.SubprocessError, ValueError, KeyError) as why:
            # The other rows are worth having all the same.
            self.fail(row, "run", why)

    def end_shared(self):
        for server in self.shared.values():
            server.remove()
        self.shared = {}

    def end(self):
        self.end_shared()
