"""Servers in namespaces of their own, each with a small disk of its own that can be slow, broken or full."""

import errno
import os
import re
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "ensemble"))

from cluster import Cluster, Server, ask
from network import run

CLIENT, QUORUM, ELECTION = 2181, 2888, 3888
DISK_MIB = 320
LEFT_WHEN_FULL = 64 << 10
EIO = 5

EPOCH_BEHIND = re.compile(r"The current epoch, \w+, is older than the last zxid, (\d+)")


class Member(Server):
    def __init__(self, cluster, sid, kind, role="participant"):
        super().__init__(cluster, sid, kind, role)
        self.client_port, self.quorum_port, self.election_port = CLIENT, QUORUM, ELECTION
        self.host = cluster.network.address(sid)
        self.disk = os.path.join(self.directory, "disk")
        self.data = os.path.join(self.disk, "data")
        self.orders = os.path.join(self.directory, "orders")
        os.makedirs(self.disk)
        run("mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "none", self.disk)
        self.order()

    def __str__(self):
        return f"server {self.sid} ({self.kind})"

    @property
    def line(self):
        return f"server.{self.sid}={self.host}:{QUORUM}:{ELECTION}:{self.role};{self.host}:{CLIENT}"

    @property
    def address(self):
        return self.host, CLIENT

    def word(self, word):
        return ask(self.address, word, patience=1)

    def command(self):
        return [*self.cluster.network.inside(self.sid), "env", f"LD_PRELOAD={os.environ['FAULT_DISK_LIBRARY']}",
                f"FAULT_DISK={self.orders}", *super().command()]

    def start(self):
        if self.kind != "ferrokeeper":
            self.enter_epoch_of_log()
            self.accept_current_epoch()
        super().start()

    def must_run(self):
        if self.kind != "ferrokeeper" and self.process.poll() is not None and EPOCH_BEHIND.search(self.log()):
            self.process = None
            return self.start()
        return super().must_run()

    def enter_epoch_of_log(self):
        """Java logs what a synchronisation brings of a new epoch, and only then writes down that it is in it. Killed in
        between it never starts again. Its log is the beginning of that epoch's, so an operator may write that down."""
        behind = EPOCH_BEHIND.search(self.log())
        if behind:
            self.cluster.epochs_mended += 1
            with open(os.path.join(self.data, "version-2", "currentEpoch"), "w") as file:
                file.write(str(int(behind.group(1)) >> 32))

    def accept_current_epoch(self):
        """Java takes an accepted epoch that it could not write for written, and does not write it when it hears of it
        again. Once it has written the same epoch as its current one it never starts again ("The accepted epoch, 6 is less
        than the current epoch, 7"). Who is in an epoch has accepted it: an operator may write that down."""
        def epoch(name):
            try:
                with open(os.path.join(self.data, "version-2", name)) as file:
                    return int(file.read())
            except (OSError, ValueError):
                return None

        accepted, current = epoch("acceptedEpoch"), epoch("currentEpoch")
        if accepted is not None and current is not None and accepted < current:
            self.cluster.epochs_mended += 1
            with open(os.path.join(self.data, "version-2", "acceptedEpoch"), "w") as file:
                file.write(str(current))

    # -- its disk --

    def order(self, slow_ms=0, error=0):
        with open(self.orders, "r+b" if os.path.exists(self.orders) else "wb") as file:
            file.write(struct.pack("=II", slow_ms, error))

    def fill(self):
        """Leaves next to nothing of the disk."""
        with open(os.path.join(self.disk, "filler"), "wb") as file:
            # In pieces: the server takes its share meanwhile.
            try:
                while (free := os.statvfs(self.disk)).f_bavail * free.f_frsize > LEFT_WHEN_FULL:
                    size = max(4096, (free.f_bavail * free.f_frsize - LEFT_WHEN_FULL) // 2)
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self):
        try:
            os.remove(os.path.join(self.disk, "filler"))
        except FileNotFoundError:
            pass


class Members(Cluster):
    server = Member

    def __init__(self, directory, network, kinds, **rest):
        self.network = network
        self.epochs_mended = 0  # see Member.enter_epoch_of_log and the one behind it
        super().__init__(directory, kinds, **rest)

    def start(self):
        """All at once: who leads is left to them."""
        for server in self:
            server.start()
        self.wait_serving()
