"""How long an ensemble takes from the SIGKILL of its leader to the first acknowledged write, with default ticks.

    failover.py --mix java-3.9,java-3.9,java-3.9 --mix ferrokeeper,ferrokeeper,ferrokeeper --rounds 30

The mixes take turns, each with an ensemble of its own that lives through all rounds. A client writes all the time, one
write at a time, to the servers that are left; the dead leader is started again after each round."""

import argparse
import os
import statistics
import sys
import threading
import time

import client
from client import Session, Stat, Unknown
from cluster import Cluster, Failed, eventually

SETTINGS = {"tickTime": 2000, "initLimit": 10, "syncLimit": 5, "minSessionTimeout": 4000}


class Writer(threading.Thread):
    """Writes through one server that stays, at the pace of the answers, and notes when each was acknowledged."""

    def __init__(self, session):
        super().__init__(daemon=True)
        self.session, self.answers, self.stopping, self.problem = session, [], False, None

    def run(self):
        try:
            while not self.stopping:
                try:
                    begun = time.monotonic()
                    if isinstance(self.session.set("/failover", b"x"), Stat):
                        self.answers.append((begun, time.monotonic()))
                except Unknown:
                    pass
        except Exception as error:
            self.problem = error


def round_of(cluster):
    """Seconds from SIGKILL to the first acknowledgement of a write that was sent after it."""
    leader = cluster.leader()
    survivors = [server for server in cluster if server is not leader]
    writers = []
    for server in survivors:
        # A writer stays at its server, and asks it again and again while it does not serve.
        session = Session(lambda port=server.client_port: [port], 30_000)
        session.connect()
        session.ensure("/failover")
        writers.append(Writer(session))
    for writer in writers:
        writer.start()
    eventually("writes before the leader's end", lambda: all(len(writer.answers) > 50 for writer in writers))
    killed = time.monotonic()
    leader.kill()

    def first():
        for writer in writers:
            if writer.problem:
                raise Failed(f"a writer: {writer.problem}")
        # A write that was sent before the kill may be acknowledged a moment after it.
        ends = [end for writer in writers for begun, end in writer.answers[-2000:] if begun > killed + 0.05]
        return min(ends) - killed if ends else None

    took = eventually("a write after the leader's end", first)
    new = cluster.leader()
    for writer in writers:
        writer.stopping = True
        writer.join(60)
        writer.session.close()
    leader.start()
    cluster.wait_serving()
    return took, new


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mix", action="append", help="kinds of servers, the first one leads; may be repeated")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    # A client tries again at once; this is no measurement of its patience.
    client.random.random = lambda: 0.0
    clusters, times = {}, {}
    for number, mix in enumerate(options.mix or ["java-3.9,java-3.9,java-3.9"]):
        # Java as it is delivered: no options for its virtual machine.
        cluster = Cluster(os.path.join(os.environ["WORK"], f"failover{number}"), mix.split(","), settings=SETTINGS, jvm="")
        cluster.start()
        clusters[mix], times[mix] = cluster, []
    for number in range(1, options.rounds + 1):
        for mix, cluster in clusters.items():
            took, new = round_of(cluster)
            times[mix].append(took)
            print(f"round {number}: {mix}: {took * 1000:.0f} ms, now leads {new.kind}", flush=True)
    for mix, found in times.items():
        print(f"{mix}: median {statistics.median(found) * 1000:.0f} ms, worst {max(found) * 1000:.0f} ms of {len(found)}")
    for cluster in clusters.values():
        cluster.end()
    sys.exit(0)


if __name__ == "__main__":
    main()
