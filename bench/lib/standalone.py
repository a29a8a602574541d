"""One server of each kind: the works that need fresh servers of their own."""

import json
import os
import signal
import time

from comparison import Comparison
from rows import FERRO
from servers import Failed, Server

# Seconds in which the CPU time of idle sessions is measured, and for which they are held.
IDLE, IDLE_QUICK = (30, 50), (5, 20)
# What filling a million znodes, its pause, and two restarts for each round take both servers, roughly.
FILL_SECONDS, RESTART_SECONDS = 190, 12


class StandaloneComparison(Comparison):
    def new_server(self, kind, name):
        return Server(kind, self.commands[kind], os.path.join(self.options.dir, f"{kind}-{name}"))

    def special(self):
        return {"empty": self.empty, "idle": self.idle, "fill-1m": self.fill_1m, "fill-5m": self.fill_5m}

    def estimate_special(self, row):
        o = self.options
        if row.name == "idle":
            return len(self.kinds) * ((IDLE_QUICK if o.quick else IDLE)[1] + 15)
        if row.name == "empty":
            return len(self.kinds) * o.rounds * 5
        if row.name == "fill-1m":
            return 40 if o.quick else FILL_SECONDS + RESTART_SECONDS * o.rounds
        return 120 if o.quick else 300 + o.rounds * 3 * 35

    def empty(self, row):
        for _ in range(self.options.rounds):
            for kind in self.kinds:
                server = self.new_server(kind, row.name)
                try:
                    started = server.start()
                    time.sleep(3)
                    self.note(row, kind, {"rss_mb": server.rss_bytes() / 1e6, "start_s": started})
                    print(f"    {kind}: {server.rss_bytes() / 1e6:.1f} MB, serves after {started:.3f} s", flush=True)
                finally:
                    server.remove()

    def idle(self, row):
        seconds, hold = IDLE_QUICK if self.options.quick else IDLE
        each = 500 if self.options.quick else 5000
        for kind in self.kinds:
            server = self.new_server(kind, row.name)
            try:
                server.start()
                # Two clients: a descriptor limit of 10,000 is common.
                args = ["idle", "--connections", str(each), "--warmup", "0", "--seconds", str(hold)]
                clients = [self.load.start(server, args) for _ in range(2)]
                while server.connections() < 2 * each and all(c.poll() is None for c in clients):
                    time.sleep(0.5)
                time.sleep(5)
                begun, before = time.monotonic(), server.cpu_seconds()
                time.sleep(seconds)
                percent = 100 * (server.cpu_seconds() - before) / (time.monotonic() - begun)
                rss, held = server.rss_bytes(), server.connections()
                for client in clients:
                    self.load.finish(client, 600)
                if held < 2 * each:
                    raise Failed(f"only {held} connections of {2 * each} were open")
                print(f"    {kind}: {held} connections, {percent:.2f} % CPU, {rss / 1e6:.1f} MB", flush=True)
                self.note(row, kind, {"sessions": held, "rss_mb": rss / 1e6, "cpu_percent": percent})
            except Failed as why:
                self.fail(row, kind, why)
            finally:
                server.remove()

    def fill(self, server, znodes):
        args = ["fill", "--nodes", str(znodes), "--connections", "8", "--depth", "100", "--keep"]
        done = self.load.run(server, args, timeout=3000)
        time.sleep(1 if self.options.quick else 15)
        return done

    def fill_1m(self, row):
        znodes = 20_000 if self.options.quick else 1_000_000
        for kind in self.kinds:
            server = self.new_server(kind, row.name)
            try:
                server.start()
                filled = self.fill(server, znodes)
                count = server.node_count()
                result = {
                    "znodes": count,
                    "fill_per_second": filled["per_second"],
                    "fill_cpu_us_per_op": filled["cpu_us_per_op"],
                    "rss_mb": server.rss_bytes() / 1e6,
                    "rss_per_znode": server.rss_bytes() / count if count else None,
                    "disk_mb": server.disk_bytes() / 1e6,
                }
                for name, sig in (("restart_s", signal.SIGTERM), ("restart_after_kill_s", signal.SIGKILL)):
                    times = []
                    for _ in range(self.options.rounds):
                        server.stop(sig)
                        times.append(server.start())
                        if server.node_count() != count:
                            raise Failed(f"{server.node_count()} znodes of {count} after {sig.name} and restart")
                    result[name] = sorted(times)[len(times) // 2]
                result["rss_after_restart_mb"] = server.rss_bytes() / 1e6
                print("   ", kind, json.dumps(result), flush=True)
                self.note(row, kind, result)
            except Failed as why:
                self.fail(row, kind, why)
            finally:
                server.remove()

    def fill_5m(self, row):
        """Ferrokeeper alone: its targets are absolute, and Java would need a far larger heap."""
        if FERRO not in self.kinds:
            return
        sizes = {"small": 10_000, "big": 40_000 if self.options.quick else 5_000_000}
        servers = {name: self.new_server(FERRO, f"{row.name}-{name}") for name in sizes}
        seconds = str(self.options.seconds if self.options.quick else 30)
        try:
            for name, server in servers.items():
                server.start()
                self.fill(server, sizes[name])
                server.pause()
            big = servers["big"]
            big.resume()
            rss, count = big.rss_bytes(), big.node_count()
            big.pause()
            # The big tree twice: sets spread over all of it, and over as many nodes as the small one has.
            runs = {"small": ("small", sizes["small"]), "spread": ("big", sizes["big"]), "same": ("big", sizes["small"])}
            for _ in range(self.options.rounds):
                rates = {}
                for name, (which, nodes) in runs.items():
                    servers[which].resume()
                    args = ["set-filled", "--nodes", str(nodes), "--connections", "50", "--depth", "20",
                            "--warmup", str(self.options.warmup), "--seconds", seconds]
                    rates[name] = self.load.run(servers[which], args)["per_second"]
                    servers[which].pause()
                self.note(row, FERRO, {
                    "znodes": count,
                    "rss_mb": rss / 1e6,
                    "rss_per_znode": rss / count,
                    "rates": rates,
                    "rate_kept": rates["spread"] / rates["small"],
                    "rate_kept_same_nodes": rates["same"] / rates["small"],
                })
        finally:
            for server in servers.values():
                server.remove()
