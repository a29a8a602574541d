#!/usr/bin/env python3
"""start-ensemble.py KIND,KIND,... DIR [zoo.cfg line ...]

Starts an ensemble on free ports, the first kind leading; prints the client ports, the leader's first, and ends the servers
when its own input ends. Kinds are those of ensemble/cluster.py; `java` is the newest release."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", suite) for suite in ("ensemble", "lib")]
from cluster import Cluster  # noqa: E402


def main():
    kinds, directory, lines = sys.argv[1].split(","), sys.argv[2], sys.argv[3:]
    # Long ticks: the comparison may be slow, and nobody may lose its leader meanwhile.
    settings = {"tickTime": 2000, **dict(line.split("=", 1) for line in lines)}
    kinds = ["java-3.9" if kind == "java" else kind for kind in kinds]
    cluster = Cluster(directory, kinds, settings=settings, jvm=os.environ.get("JVMFLAGS", ""))
    cluster.start()
    # Server numbers rise towards the leader's.
    print(*(server.client_port for server in reversed(cluster.participants())), flush=True)
    sys.stdin.read()
    cluster.end()


main()
