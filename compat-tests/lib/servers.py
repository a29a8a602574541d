"""Servers of both kinds with their admin ports, and requests to those."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "ensemble"), HERE]
import client  # noqa: E402
from ports import free_ports  # noqa: E402

# Never an expectation: only what keeps a suite that talks to a dead server from waiting for ever.
GIVE_UP_S = 180


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class Server:
    """One server; `kind` is java or ferrokeeper. Lines of its configuration may say {port} and {directory}."""

    def __init__(self, kind, directory, *lines, https=None, wait=True, flags=()):
        self.kind, self.directory, self.https, self.flags = kind, directory, https, flags
        self.port, self.admin = free_ports(2)
        os.makedirs(directory, exist_ok=True)
        self.config = os.path.join(directory, "zoo.cfg")
        settings = [
            f"dataDir={directory}/data",
            f"clientPort={self.port}",
            "clientPortAddress=127.0.0.1",
            "tickTime=2000",
            "maxClientCnxns=0",
            "4lw.commands.whitelist=*",
            "admin.serverAddress=127.0.0.1",
            f"admin.serverPort={self.admin}",
            "admin.rateLimiterIntervalInMS=1",
            *(line.replace("{port}", str(self.port)).replace("{directory}", directory) for line in lines),
        ]
        with open(self.config, "w") as out:
            out.write("\n".join(settings) + "\n")
        self.start(wait)

    def start(self, wait=True):
        if self.kind == "java":
            command = ["java", *self.flags, "-cp", os.environ["CLASSPATH_JAVA"]]
            command += ["org.apache.zookeeper.server.quorum.QuorumPeerMain", self.config]
        else:
            command = [os.environ["FERROKEEPER"], *self.flags, "server", self.config]
        log = open(os.path.join(self.directory, "server.log"), "a")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.directory)
        with open(os.path.join(self.directory, "server.pid"), "w") as out:
            out.write(str(self.process.pid))
        if wait:
            self.await_ready()

    def await_ready(self):
        end = time.monotonic() + GIVE_UP_S
        while time.monotonic() < end:
            assert self.process.poll() is None, f"{self.kind} ended: {self.log()[-2000:]}"
            try:
                if self.get("/commands/ruok").json()["error"] is None:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"{self.kind} did not serve: {self.log()[-2000:]}")

    def log(self):
        with open(os.path.join(self.directory, "server.log")) as text:
            return text.read()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(GIVE_UP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def request(self, method, path, body=None, headers=None, context=None):
        if context is not None:
            connection = http.client.HTTPSConnection("127.0.0.1", self.admin, timeout=GIVE_UP_S, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=GIVE_UP_S)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        named = {name.capitalize(): value for name, value in headers.items()}
        context = self.https
        return self.request("GET", path, None, named, context)

    def command(self, name):
        answer = self.get("/commands/" + name)
        assert answer.status == 200, (name, answer.status, answer.body)
        return answer.json()

    def session(self, **rest):
        return client.Session(lambda: [self.port], **rest)

    def word(self, word):
        with socket.create_connection(("127.0.0.1", self.port), GIVE_UP_S) as sock:
            sock.sendall(word.encode())
            return sock.makefile("rb").read().decode()

    def raw(self, data):
        """What comes back for these bytes, until the end."""
        with socket.create_connection(("127.0.0.1", self.admin), GIVE_UP_S) as sock:
            sock.sendall(data)
            answer = b""
            while True:
                try:
                    piece = sock.recv(65536)
                except ConnectionResetError:
                    return answer
                if not piece:
                    return answer
                answer += piece

    def memory_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        raise AssertionError("no VmRSS")


def trusting(ca, certificate=None):
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    if certificate:
        context.load_cert_chain(certificate)
    return context
