"""One server alone, of the kind that SERVER names; and tests that are functions."""

import atexit
import os
import signal
import subprocess
import sys
import time
import traceback

from cluster import LOGBACK, TEST_JVM, Failed

WORK = os.environ["WORK"]
IS_JAVA = os.environ["SERVER"] == "java"
CLASSPATH = os.environ["CLASSPATH_JAVA_3_9"]


def check(wanted, got, what=""):
    if wanted != got:
        raise Failed(f"{what}: expected {wanted!r}, got {got!r}")


class Alone:
    """A process on a zoo.cfg in a directory of its own."""

    count = 0

    def __init__(self):
        Alone.count += 1
        self.directory = os.path.join(WORK, f"alone{Alone.count}")
        os.makedirs(self.directory)
        self.log_path = os.path.join(self.directory, "server.log")

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def run(self, settings, *flags):
        config = self.write("zoo.cfg", "".join(f"{key}={value}\n" for key, value in settings.items() if value is not None))
        if IS_JAVA:
            logback = self.write("logback.xml", LOGBACK)
            command = ["java", *TEST_JVM.split(), f"-Dlogback.configurationFile={logback}", *flags, "-cp", CLASSPATH,
                       "org.apache.zookeeper.server.quorum.QuorumPeerMain", config]
        else:
            command = [os.environ["FERROKEEPER"], *flags, "server", config]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.directory, start_new_session=True)
        self.write("server.pid", f"{self.process.pid}\n")
        atexit.register(self.end)

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def end(self, how=signal.SIGKILL):
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(60)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.end(signal.SIGTERM)
        if kind is not None:
            print(self.log()[-3000:], flush=True)


def run_tests(functions, chosen):
    """Those whose names begin with test_, or the chosen ones of them; ends the process."""
    tests = {name.removeprefix("test_"): test for name, test in functions.items() if name.startswith("test_")}
    passed = failed = 0
    for name, test in tests.items():
        if chosen and name not in chosen:
            continue
        began = time.monotonic()
        try:
            test()
            passed += 1
            print(f"ok     {name} ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception:
            failed += 1
            traceback.print_exc()
            print(f"FAILED {name}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(0 if passed and not failed else 1)
