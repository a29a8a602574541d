"""An ensemble broken for real, with clients that write down what they see, and checkers that judge it.

    faults.py --servers ferrokeeper,ferrokeeper,ferrokeeper --seconds 150
    faults.py --servers java-3.9,ferrokeeper,ferrokeeper --rounds 10 --seed 4711

Each round is an ensemble of its own with a seed of its own, that repeats its plan of faults. A round that fails leaves
histories, logs and what was done in the directory that it names. Started by run.sh, which makes the namespaces."""

import argparse
import os
import random
import re
import shutil
import sys
import time
import traceback

from members import Members
from network import Network, NoNetwork
from nemesis import Nemesis
from recorders import History, Load

import trees
from checkers import ephemerals, linearizability, locks, pairs, sequences, session_order, watches
from client import Session, SessionLost
from cluster import Failed, eventually

CHECKERS = [linearizability, session_order, sequences, locks, ephemerals, watches, pairs]
SETTINGS = {"tickTime": 300, "initLimit": 20, "syncLimit": 5, "minSessionTimeout": 1000, "maxSessionTimeout": 60000}
LIMIT_S = SETTINGS["tickTime"] * SETTINGS["syncLimit"] / 1000
RECOVERY_S = 90  # after the last fault everybody has to be served again within it; votes may be 60 s apart by then


class Round:
    def __init__(self, directory, network, kinds, seed, seconds):
        self.directory, self.network, self.kinds, self.seed, self.seconds = directory, network, kinds, seed, seconds
        os.makedirs(directory)
        self.journal = open(os.path.join(directory, "nemesis"), "w")
        self.began = time.monotonic()
        self.history = History(os.path.join(directory, "history"))

    def say(self, text):
        now = time.monotonic()
        print(f"{now:.3f} {now - self.began:7.2f} s  {text}", file=self.journal, flush=True)

    def run(self):
        """What was done and seen, as text; raises what is wrong."""
        network = self.network
        network.heal()
        cluster = Members(os.path.join(self.directory, "servers"), network, self.kinds, settings=SETTINGS)
        addresses = [server.address for server in cluster]
        try:
            cluster.start()
            # A Java leader answers its own clients' sync like a read, whatever is being committed.
            ours = {server.address for server in cluster if server.kind == "ferrokeeper"}
            load = Load(lambda: addresses, self.history, self.seed, ours.__contains__)
            load.start()
            nemesis = Nemesis(cluster, network, self.seed, self.say, LIMIT_S)
            nemesis.run(self.seconds)
            network.heal()
            nemesis.revive()
            self.say("everything is mended")
            self.recover(cluster, load, nemesis)
            self.judge_processes(cluster, nemesis)
            self.look_at_the_end(cluster, load, addresses)
            znodes = trees.compare(cluster)
            found = [f"{znodes} znodes"]
            for checker in CHECKERS:
                try:
                    found += [f"{count} {what}" for what, count in checker.check(self.history.records).items()]
                except AssertionError as error:
                    raise Failed(f"{checker.__name__.rpartition('.')[2]}: {error}") from None
            done = ", ".join(f"{count} {name}" for name, count in sorted(nemesis.counts.items()))
            if cluster.epochs_mended:
                found.append(f"{cluster.epochs_mended} epochs of Java servers mended")
            return f"{done}\n    {', '.join(found)}"
        finally:
            cluster.end()
            network.heal()
            self.history.close()
            for server in cluster:
                network_run_umount(server.disk)

    def recover(self, cluster, load, nemesis):
        """After the faults every client goes on, within a bound; then the load ends."""
        mended = time.monotonic()

        def waiting():
            nemesis.notice_ends()
            problems = load.problems()
            if problems:
                raise Failed("\n".join(problems))
            return load.silent(mended + 1)

        eventually(lambda: f"every client goes on; not {waiting()}", lambda: not waiting(), RECOVERY_S)
        self.say(f"all clients go on after {time.monotonic() - mended:.2f} s")
        cluster.wait_serving()
        stuck = load.stop(30)
        if stuck or load.problems():
            raise Failed("\n".join([*load.problems(), *(f"{name} does not end" for name in stuck)]))

    def judge_processes(self, cluster, nemesis):
        for server, status, excused in nemesis.ended_by_itself:
            if server.kind == "ferrokeeper" and not excused:
                raise Failed(f"{server} has ended by itself with status {status}")
        for server in cluster:
            for name in os.listdir(server.directory):
                if name.startswith("log.") and name.endswith("ferrokeeper"):
                    with open(os.path.join(server.directory, name), errors="replace") as file:
                        found = re.search(r".*panicked at.*(\n.*){0,5}", file.read())
                    if found:
                        raise Failed(f"{name} of {server}: {found.group()}")

    def look_at_the_end(self, cluster, load, addresses):
        """Every session that was not lost does something, and an unconcerned client reads what is there."""
        alive = []
        for client in load.clients:
            try:
                client.session.sync()
                client.session.set("/fence", str(1 << 62).encode())
                alive.append(client.session.id)
                client.record("usable", client.session.heard, True)
            except SessionLost:
                client.lost(client.session)
        reader = Session(lambda: addresses, 60_000)
        # Sessions that were left end when their time has come, and take their znodes along.
        reader.connect()
        ids = set(alive)
        stats = lambda: [(f"/e/{name}", reader.exists(f"/e/{name}")) for name in reader.children("/e")]
        owners = lambda: [[path, stat.owner] for path, stat in stats() if stat]
        until = time.monotonic() + 15
        while time.monotonic() < until:
            reader.sync()
            if all(owner in ids for _, owner in owners()):
                break
            for client in load.clients:
                client.session.ping()
            time.sleep(0.2)
        reader.sync()
        end = dict(client="end", session=0, t0=time.monotonic(), t1=time.monotonic())
        self.history.add(**end, op="end of ephemerals", alive=alive, znodes=owners())
        for client in load.clients:
            client.session.close()
        found = []
        for name in reader.children("/q"):
            data, stat = reader.get(f"/q/{name}")
            found.append([f"/q/{name}", data.decode(), stat.czxid])
        self.history.add(**end, op="end of sequences", znodes=found)
        halves = {name: reader.get(f"/m/{name}") for name in "ab"}
        self.history.add(**end, op="end of pairs",
                         **{name: [data.decode(), stat.mzxid, stat.version] for name, (data, stat) in halves.items()})
        for name in reader.children("/r"):
            begun = time.monotonic()
            data, stat = reader.get(f"/r/{name}")
            self.history.add(client="end", session=0, op="read", t0=begun, t1=time.monotonic(), key=f"/r/{name}",
                             value=data.decode(), version=stat.version, zxid=reader.last_zxid)
        reader.close()


def network_run_umount(path):
    os.system(f"umount -l '{path}'")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", action="append", help="kinds of servers, may be repeated: rounds take turns")
    parser.add_argument("--seconds", type=float, default=100, help="of faults in each round")
    parser.add_argument("--rounds", type=int, default=1, help="of each mix")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9), help="of the first round")
    parser.add_argument("--keep-going", action="store_true", help="after a failure")
    options = parser.parse_args()
    mixes = options.servers or ["ferrokeeper,ferrokeeper,ferrokeeper"]
    try:
        network = Network(range(1, max(len(mix.split(",")) for mix in mixes) + 1))
    except NoNetwork as error:
        sys.exit(f"0 passed, 1 failed: the network namespaces cannot be made: {error}")
    passed, failed, seed = 0, 0, options.seed
    for _ in range(options.rounds):
        for mix in mixes:
            directory = os.path.join(os.environ["FAULTS_KEPT"], f"seed-{seed}")
            shutil.rmtree(directory, ignore_errors=True)
            print(f"seed {seed}, {mix}, {options.seconds:.0f} s", flush=True)
            try:
                print(f"pass: {Round(directory, network, mix.split(','), seed, options.seconds).run()}", flush=True)
                shutil.rmtree(directory, ignore_errors=True)
                passed += 1
            except Exception:
                failed += 1
                print(f"fail: seed {seed}, {mix}; see {directory}", flush=True)
                traceback.print_exc()
                sys.stderr.flush()
                if not options.keep_going:
                    break
            seed += 1
        if failed and not options.keep_going:
            break
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
