"""A Java client as a process of its own, that does what it is told line by line and says what its connection becomes."""

import os
import queue
import re
import subprocess
import threading

from cluster import PATIENCE, TEST_JVM, Failed

HERE = os.path.dirname(os.path.abspath(__file__))


class JavaClient:
    """`source` is a program beside this file. Lines that begin with one of `words` are its answers; `state ...` comes
    unasked."""

    def __init__(self, source, classpath, words, cluster, *arguments):
        servers = ",".join(f"127.0.0.1:{server.client_port}" for server in cluster)
        self.errors = os.path.join(cluster.directory, f"{source}.errors")
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(
                ["java", *TEST_JVM.split(), f"-Dlogback.configurationFile={self.logging(cluster)}", "-cp", classpath,
                 os.path.join(HERE, source), servers, *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        self.answer = re.compile("(?:state|" + "|".join(words) + ") ")
        self.lines = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()

    @staticmethod
    def logging(cluster):
        """What it warns of goes to standard error: its output is for answers."""
        path = os.path.join(cluster.directory, "client-logback.xml")
        with open(path, "w") as file:
            file.write("""<configuration>
  <appender name="err" class="ch.qos.logback.core.ConsoleAppender">
    <target>System.err</target>
    <encoder><pattern>%d{HH:mm:ss.SSS} %-5level %logger{0} - %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="err"/></root>
</configuration>
""")
        return path

    def listen(self):
        for line in self.process.stdout:
            if self.answer.match(line):
                self.lines.put(line.strip())

    def hear(self, wanted):
        """The next line that is of that kind: what the connection becomes, or else an answer."""
        while True:
            try:
                line = self.lines.get(timeout=PATIENCE)
            except queue.Empty:
                raise Failed(f"the Java client says nothing, expected: {wanted}; {self.complaints()}") from None
            if line.startswith("state ") == (wanted == "state"):
                return line

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.hear("an answer")

    def complaints(self):
        with open(self.errors, errors="replace") as file:
            return file.read()

    def end(self):
        self.process.kill()
        self.process.wait()
