"""A network of its own for every server: namespaces, joined by a bridge, in a namespace that ends with this process.

Nothing here touches the machine's own network; `run.sh` has put this process into a fresh one. What is broken is a set
of facts (who does not hear whom, who loses how much, who sends how late), and `apply` makes iptables say so."""

import os
import subprocess
import sys

BRIDGE = "10.77.0.254"  # where the clients are


class NoNetwork(Exception):
    """Namespaces cannot be made here."""


def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        raise NoNetwork(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


class Network:
    def __init__(self, sids):
        self.sids = list(sids)
        # A fresh place for the names, so that they vanish with this process.
        os.makedirs("/run/netns", exist_ok=True)
        run("mount", "-t", "tmpfs", "none", "/run/netns")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "br0", "type", "bridge")
        run("ip", "addr", "add", f"{BRIDGE}/24", "dev", "br0")
        run("ip", "link", "set", "br0", "up")
        for sid in self.sids:
            run("ip", "netns", "add", self.name(sid))
            run("ip", "link", "add", f"veth{sid}", "type", "veth", "peer", "name", "eth0", "netns", self.name(sid))
            run("ip", "link", "set", f"veth{sid}", "master", "br0", "up")
            for command in ("ip link set lo up", f"ip addr add {self.address(sid)}/24 dev eth0", "ip link set eth0 up"):
                run(*self.inside(sid), *command.split())
        self.delayers = {}
        self.heal()

    @staticmethod
    def name(sid):
        return f"s{sid}"

    @staticmethod
    def address(sid):
        return f"10.77.0.{sid}"

    def inside(self, sid):
        """What a command begins with to run in the server's namespace."""
        return ["nsenter", f"--net=/run/netns/{self.name(sid)}", "--"]

    # -- faults --

    def heal(self):
        self.deaf = set()  # (server, to whom it is deaf: a server, or 0 for the clients)
        self.loss = {}  # server: share of what it receives that is lost
        self.delay = {}  # server: (milliseconds, jitter) of what it sends
        self.apply()

    def apply(self):
        for sid in self.sids:
            rules = ["*filter", ":INPUT ACCEPT", ":FORWARD ACCEPT", ":OUTPUT ACCEPT"]
            for server, other in sorted(self.deaf):
                if server == sid:
                    rules.append(f"-A INPUT -s {self.address(other) if other else BRIDGE} -j DROP")
                if other == 0 and server == -sid:
                    rules.append(f"-A OUTPUT -d {BRIDGE} -j DROP")
            if self.loss.get(sid):
                rules.append(f"-A INPUT -i eth0 -m statistic --mode random --probability {self.loss[sid]} -j DROP")
            if self.delay.get(sid):
                rules.append("-A OUTPUT -o eth0 -j NFQUEUE --queue-num 0 --queue-bypass")
            self.delay_with(sid, self.delay.get(sid))
            run(*self.inside(sid), "iptables-restore", text="\n".join([*rules, "COMMIT", ""]))

    def delay_with(self, sid, wanted):
        current, process = self.delayers.pop(sid, (None, None))
        if current == wanted:
            if process:
                self.delayers[sid] = current, process
            return
        if process:
            process.kill()
            process.wait()
        if wanted:
            here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "delays.py")
            process = subprocess.Popen([*self.inside(sid), sys.executable, here, *map(str, wanted)],
                                       stdout=subprocess.PIPE, text=True)
            if process.stdout.readline().strip() != "ready":
                raise NoNetwork("packets cannot be delayed: no NFQUEUE")
            self.delayers[sid] = wanted, process

    def cut(self, one, other):
        """Neither hears the other."""
        self.deaf |= {(one, other), (other, one)}

    def cut_clients(self, sid, inward=True, outward=True):
        self.deaf |= ({(sid, 0)} if inward else set()) | ({(-sid, 0)} if outward else set())
