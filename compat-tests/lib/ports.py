"""Ports of 127.0.0.1 for servers of tests."""

import random
import socket

_taken = set()


def free_port():
    """One that nobody listens on, and that this process has not given out before: below the range that the kernel hands out,
    so that no outgoing connection ever sits on it."""
    for _ in range(10_000):
        port = random.SystemRandom().randrange(10_000, 32_000)
        if port in _taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _taken.add(port)
        return port
    raise RuntimeError("no free port")


def free_ports(count):
    return [free_port() for _ in range(count)]


if __name__ == "__main__":
    print(free_port())
