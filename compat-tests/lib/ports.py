"""Ports of 127.0.0.1 for servers of tests."""

import fcntl
import os
import socket
import tempfile

# Below the range that the kernel hands out, so that no outgoing connection ever sits on one.
_FIRST, _END = 10_000, 32_000
# The port to try next: shared by all suites of this user, so that none is given out twice before all others were.
_COUNTER = os.path.join(tempfile.gettempdir(), f"ferrokeeper-test-ports-{os.getuid()}")


def free_port():
    """One that nobody listens on, and that nobody was given lately."""
    return free_ports(1)[0]


def free_ports(count):
    with open(_COUNTER, "a+") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        counter.seek(0)
        text = counter.read()
        following = int(text) if text.isdigit() else _FIRST + os.getpid() % (_END - _FIRST)
        found = []
        for _ in range(_FIRST, _END):
            port, following = following, following + 1 if following + 1 < _END else _FIRST
            if _is_free(port):
                found.append(port)
            if len(found) == count:
                break
        else:
            raise RuntimeError("no free port")
        counter.truncate(0)
        counter.write(str(following))
    return found


def _is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    print(free_port())
