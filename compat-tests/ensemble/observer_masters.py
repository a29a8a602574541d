"""Followers that serve observers (observerMasterPort), Ferrokeeper and Java together.

Every server of an ensemble has the same observerMasterPort in its configuration, on an address of its own: the servers
are on 127.0.0.1 to 127.0.0.3."""

import os
import time

import cluster as processes
import trees
from client import Session
from cluster import Cluster, Failed, conclude, eventually, trial

MIXES = [
    # Participants, leader first; observers.
    (["ferrokeeper", "ferrokeeper", "ferrokeeper"], ["ferrokeeper", "ferrokeeper"]),
    (["java-3.9", "ferrokeeper", "ferrokeeper"], ["java-3.9", "java-3.8"]),
    (["ferrokeeper", "java-3.9", "java-3.8"], ["ferrokeeper", "java-3.9"]),
    (["java-3.8", "ferrokeeper", "java-3.9"], ["ferrokeeper", "java-3.9"]),
]


class Server(processes.Server):
    """On an address of its own, because the port for observers is the same everywhere."""

    @property
    def line(self):
        return (f"server.{self.sid}=127.0.0.{self.sid}:{self.quorum_port}:{self.election_port}:{self.role}"
                f";127.0.0.1:{self.client_port}")


class Ensemble(Cluster):
    server = Server


def masters_of(it):
    """Server ids of followers, and how many observers each has synced."""
    return {server.sid: int(server.mntr().get("synced_observers", 0)) for server in it.participants() if server.process}


def write_everywhere(it, name):
    """A znode through each server, seen on every other one after a sync."""
    for server in it.running():
        session = Session(lambda port=server.client_port: [port])
        session.connect()
        session.ensure(f"/{name}-{server.sid}", server.kind.encode())
        session.close()
    for server in it.running():
        session = Session(lambda port=server.client_port: [port])
        session.connect()
        session.sync()
        for other in it.running():
            if session.get(f"/{name}-{other.sid}") is None:
                raise Failed(f"{server} does not show what was written on {other}")
        session.close()


def serve(it):
    it.start()
    leader = it.leader()
    eventually(lambda: f"all observers are served by followers: {masters_of(it)}",
               lambda: sum(n for sid, n in masters_of(it).items() if sid != leader.sid) == len(it.observers())
               and masters_of(it)[leader.sid] == 0)
    write_everywhere(it, "one")
    trees.compare(it)
    # A session that an observer serves lives by what the follower passes on, and moves to another server.
    observer = it.observers()[0]
    ports = [observer.client_port]
    session = Session(lambda: ports, timeout_ms=4000)
    session.connect()
    session.ensure("/mine", b"", 1)
    begun = time.monotonic()
    while time.monotonic() - begun < 6:
        session.ping()
        time.sleep(0.5)
    if session.exists("/mine") is None:
        raise Failed("a session of an observer's client was lost")
    ports[:] = [it.observers()[-1].client_port]
    session.lose()
    session.connect()
    if session.exists("/mine") is None:
        raise Failed("the session did not survive its move to another observer")
    # The followers that serve observers go, one after the other.
    for server in it.followers():
        server.kill()
        it.wait_serving(*it.observers())
        write_everywhere(it, f"without-{server.sid}")
        server.start()
        it.wait_serving()
    it.leader().kill()
    it.wait_serving()
    write_everywhere(it, "new-leader")
    trees.compare(it)


def main():
    outcomes = []
    for number, (kinds, observers) in enumerate(MIXES):
        title = f"{','.join(kinds)}; observers {','.join(observers)}"
        settings = {"observerMasterPort": processes.free_port()}
        it = Ensemble(os.path.join(os.environ["WORK"], f"masters{number}"), kinds, observers, settings)
        outcomes.append(trial(title, it, serve))
    conclude(outcomes)


if __name__ == "__main__":
    main()
