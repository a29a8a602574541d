"""Tests as functions, each with its name; the closing line; and a server of the kind that is under test."""

import os
import sys
import traceback

from ports import free_ports
from servers import Server

KIND = os.environ["SERVER"]
JAVA = KIND == "java"
WORK = os.environ["WORK"]
# A session that outlives the tests.
LONG_MS = 3_600_000
SUPER = "DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU="
SUPER_PASSWORD = "super:test"


class Tally:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def run(self, name, function, *arguments):
        try:
            function(*arguments)
            self.passed += 1
            print(f"ok      {name}", flush=True)
        except Exception:
            self.failed += 1
            print(f"FAILED  {name}\n{traceback.format_exc()}", flush=True)

    def conclude(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed or not self.passed else 0)


def start(name, *lines, **rest):
    """A server alone, with a superuser."""
    longer = f"maxSessionTimeout={LONG_MS}"
    return Server(KIND, os.path.join(WORK, name), longer, SUPER, "extendedTypesEnabled=true", *lines, **rest)


def start_members(name, count, *lines):
    """As many servers that are an ensemble, once all of them serve."""
    ports = free_ports(3 * count)
    own = [f"server.{at + 1}=127.0.0.1:{ports[3 * at]}:{ports[3 * at + 1]};127.0.0.1:{ports[3 * at + 2]}" for at in range(count)]
    members = []
    for at in range(count):
        where = os.path.join(WORK, f"{name}{at}")
        os.makedirs(where + "/data")
        with open(where + "/data/myid", "w") as out:
            out.write(str(at + 1))
        port = ports[3 * at + 2]
        member = start(f"{name}{at}", "initLimit=10", "syncLimit=5", f"clientPort={port}", *own, *lines, wait=False)
        member.port = port
        members.append(member)
    for member in members:
        member.await_ready()
    return members


def start_member(name, *lines, **rest):
    """A server that is an ensemble by itself."""
    where = os.path.join(WORK, name)
    os.makedirs(where + "/data")
    with open(where + "/data/myid", "w") as out:
        out.write("1")
    quorum, election = free_ports(2)
    own = f"server.1=127.0.0.1:{quorum}:{election};127.0.0.1:{{port}}"
    server = start(name, "standaloneEnabled=false", "reconfigEnabled=true", "initLimit=10", "syncLimit=5", own, *lines, **rest)
    server.quorum_port, server.election_port = quorum, election
    return server
