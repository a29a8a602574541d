"""Tests of the throttles, by the name of the server's settings in run.sh."""

import socket
import struct
import sys
import time

from wire import (CLOSE, CREATE, EXISTS, GET, NODE_EXISTS, PATIENCE, PING, SET, Connection, Lost, blob, create_body,
                  text)

THROTTLED = -127
EPHEMERAL = 1
TIMEOUT_MS = 30000


def check(wanted, got, what):
    if wanted != got:
        raise AssertionError(f"{what}: expected {wanted}, got {got}")


def connect(port, session=None):
    return Connection(port, TIMEOUT_MS, session)


def word(port, name):
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as s:
        s.sendall(name)
        return s.makefile("rb").read().decode()


def figure(port, name):
    for line in word(port, b"mntr").splitlines():
        key, _, value = line.partition("\t")
        if key == "zk_" + name:
            return float(value)
    raise AssertionError(f"mntr has no {name}")


def check_figure(port, name, wanted):
    check(wanted, figure(port, name), name)


def check_closed(connection, what):
    """The server ends the connection without another word."""
    try:
        frame = connection.frame()
    except Lost:
        return
    raise AssertionError(f"{what}: {len(frame)} bytes instead of a close")


def check_refused(port, session=None):
    try:
        connect(port, session)
    except Lost:
        return
    raise AssertionError("a session was let in")


def sized(path, size):
    """A create of which the frame has `size` bytes."""
    return create_body(path, bytes(size - 8 - len(create_body(path, b"", 0))), 0)


def large(port):
    c = connect(port)
    check((0, 0), (c.call(CREATE, sized("/small", 1000))[0], c.call(CREATE, sized("/large", 5000))[0]), "creates")
    # Every one gives back what it took, answered or refused, written or read.
    for i in range(5):
        check(NODE_EXISTS, c.call(CREATE, sized("/large", 4900))[0], "an error")
        check(0, c.call(SET, text("/large") + blob(bytes(4000)) + struct.pack(">i", -1))[0], "a write")
        check(-101, c.call(EXISTS, text("/" + "x" * 4000) + b"\0")[0], "a read")
        check(-5, c.call(CREATE, bytes(range(1, 251)) * 18)[0], "bytes that are no request")
    check_figure(port, "large_requests_rejected", 0)
    # The length alone is enough.
    c.socket.sendall(struct.pack(">i", 5001))
    check_closed(c, "an announcement")
    check_figure(port, "large_requests_rejected", 1)
    c, other = connect(port), connect(port)
    c.send(CREATE, sized("/never", 9000))
    check_closed(c, "a large request")
    check(None, other.exists("/never"), "/never")
    check(0, other.call(CREATE, sized("/next", 5000))[0], "the next one")
    check_figure(port, "large_requests_rejected", 2)


def large_in_flight(port):
    a, b, reader = connect(port), connect(port), connect(port)
    first = a.send(CREATE, sized("/first", 3000))
    until(lambda: figure(port, "outstanding_requests") >= 1)
    b.send(CREATE, sized("/second", 3000))
    check_closed(b, "the second of two")
    check(0, a.receive(first)[0], "the first of two")
    check(None, reader.exists("/second"), "/second")
    check(0, a.call(CREATE, sized("/third", 5000))[0], "after the first")


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it does not come about")
        time.sleep(0.01)


def busy(port, path):
    """A connection whose write is in process until the flush that is delayed."""
    c = connect(port)
    xid = c.send(CREATE, create_body(path, b"", 0))
    until(lambda: figure(port, "outstanding_requests") >= 1)
    return c, xid


def late(port):
    b = connect(port)
    b.create("/ephemeral", b"", EPHEMERAL)
    a, first = busy(port, "/a")
    behind = [a.send(GET, text("/a") + b"\0"), a.send(CREATE, create_body("/never", b"", 0)), a.send(PING)]
    refused, ping = b.send(GET, text("/") + b"\0"), b.send(PING)
    check(0, a.receive(first)[0], "the write in process")
    check([THROTTLED, THROTTLED, 0], [a.receive(xid)[0] for xid in behind], "behind it")
    check([THROTTLED, 0], [b.receive(xid)[0] for xid in (refused, ping)], "beside it")
    check_figure(port, "throttled_ops", 3)
    if figure(port, "request_throttle_wait_count") < 1:
        raise AssertionError("nothing waited")
    check(None, b.exists("/never"), "/never")
    # To end a session is never refused.
    c, second = busy(port, "/c")
    b.send(CLOSE)
    check(0, c.receive(second)[0], "the second write in process")
    check(0, b.receive(b.xid)[0], "closeSession")
    check(None, c.exists("/ephemeral"), "/ephemeral")


def stale_requests(port):
    """What becomes of requests whose clients have gone while they waited."""
    gone, closed = connect(port), connect(port)
    closed.create("/ephemeral", b"", EPHEMERAL)
    a, first = busy(port, "/a")
    gone.send(CREATE, create_body("/late", b"", 0))
    gone.send(CREATE, create_body("/later", b"", 0))
    gone.drop()
    closed.send(CLOSE)
    closed.drop()
    check(0, a.receive(first)[0], "the write in process")
    until(lambda: a.exists("/ephemeral") is None)
    return a


def stale(port):
    a = stale_requests(port)
    a.create("/behind")
    check((None, None), (a.exists("/late"), a.exists("/later")), "stale writes")
    check_figure(port, "stale_requests_dropped", 1)


def stale_kept(port):
    a = stale_requests(port)
    until(lambda: a.exists("/later"))
    check_figure(port, "stale_requests_dropped", 0)


def crowd(port):
    """Many more than may be in process: all are answered, each connection's in order."""
    crowd = [connect(port) for _ in range(30)]
    sent = {}
    for i, c in enumerate(crowd):
        sent[c] = [c.send(CREATE, create_body(f"/{i}", b"", 0))]
        for n in range(60):
            sent[c].append(c.send(SET, text(f"/{i}") + blob(b"%d" % n) + struct.pack(">i", n)))
            sent[c].append(c.send(GET, text(f"/{i}") + b"\0"))
            sent[c].append(c.send(PING))
    for c in crowd:
        for at, xid in enumerate(sent[c]):
            error, reply = c.receive(xid)
            check(0, error, f"request {at}")
            if at % 3 == 2:
                check(b"%d" % (at // 3), reply.blob(), "read your writes")
        c.close()


def tokens(port):
    crowd = [connect(port) for _ in range(3)]
    check_refused(port)
    check_refused(port, crowd[0].session)
    check_figure(port, "connection_rejected", 2)
    check_figure(port, "connection_drop_probability", 0)
    for c in crowd:
        check(0, c.call(PING)[0], "who was let in")


def refill(port):
    connect(port)
    # The bucket filled for the second, and not before it asked: the third finds a whole interval to wait for.
    began = first_let_in(port)
    first_let_in(port)
    if time.monotonic() - began < 0.3:
        raise AssertionError("a token came back too soon")


def first_let_in(port):
    """Asks until it is let in, and tells when the attempt began that was."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        began = time.monotonic()
        try:
            connect(port)
            return began
        except Lost:
            time.sleep(0.02)
    raise AssertionError("no token comes back")


def weights(port):
    """Six tokens: three for a new session, two for one that comes back."""
    c = connect(port)
    again = connect(port, c.session)
    check_refused(port, c.session)
    check_refused(port)
    check_figure(port, "connection_rejected", 2)
    check(0, again.call(PING)[0], "the session")


def chance(port):
    connect(port)
    time.sleep(0.01)  # longer than the period after which the chance may change
    check_refused(port)
    check_figure(port, "connection_drop_probability", 1)


if __name__ == "__main__":
    globals()[sys.argv[1]](int(sys.argv[2]))
