"""Just enough of the client protocol to write, pipelined, and to see exactly what is answered."""

import socket
import struct
from collections import namedtuple

PATIENCE = 60  # seconds; only a broken server lets a test wait that long

CREATE, DELETE, EXISTS, GET, SET, CHECK, MULTI, CREATE2, CHILDREN2, PING, CLOSE = 1, 2, 3, 4, 5, 13, 14, 15, 12, 11, -11
NO_NODE, BAD_VERSION, NODE_EXISTS, NOT_EMPTY, INCONSISTENT = -101, -103, -110, -111, -2

Stat = namedtuple("Stat", "czxid mzxid ctime mtime version cversion aversion owner length children pzxid")
Session = namedtuple("Session", "id password timeout")


class Lost(Exception):
    """The connection ended."""


class Refused(Exception):
    """The server says that there is no such session."""


def text(value):
    data = value.encode()
    return struct.pack(">i", len(data)) + data


def blob(data):
    return struct.pack(">i", len(data)) + data


OPEN_ACL = struct.pack(">ii", 1, 31) + text("world") + text("anyone")


def create_body(path, data, flags):
    return text(path) + blob(data) + OPEN_ACL + struct.pack(">i", flags)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        size = struct.calcsize(form)
        if self.at + size > len(self.data):
            raise AssertionError(f"a reply of {len(self.data)} bytes is too short")
        values = struct.unpack_from(form, self.data, self.at)
        self.at += size
        return values if len(values) > 1 else values[0]

    def blob(self):
        size = self.take(">i")
        if size < 0:
            return None
        self.at += size
        return self.data[self.at - size : self.at]

    def text(self):
        return self.blob().decode()

    def stat(self):
        return Stat(*self.take(">qqqqiiiqiiq"))


def address_of(port):
    """A number is a port of this machine; else it is a host and a port."""
    return port if isinstance(port, tuple) else ("127.0.0.1", port)


class Connection:
    """A connection with its session: a new one, or the one given. Any end of the connection raises Lost."""

    def __init__(self, port, timeout_ms=None, session=None, last_zxid=0, patience=PATIENCE):
        wanted = session or Session(0, bytes(16), timeout_ms)
        self.xid = 0
        self.last_zxid = last_zxid
        self.buffer = b""
        try:
            self.socket = socket.create_connection(address_of(port), patience)
        except OSError as error:
            raise Lost(str(error)) from error
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.write(struct.pack(">iqiq", 0, last_zxid, wanted.timeout, wanted.id) + blob(wanted.password) + b"\0")
        reply = Reader(self.frame())
        _, timeout, session_id = reply.take(">iiq")
        if timeout <= 0:
            self.drop()
            raise Refused(f"session {wanted.id:#x}")
        self.session = Session(session_id, reply.blob(), timeout)
        if session is not None and session_id != session.id:
            raise AssertionError(f"asked for session {session.id:#x}, got {session_id:#x}")

    def write(self, body):
        try:
            self.socket.sendall(blob(body))
        except TimeoutError as error:
            raise AssertionError("the server reads no more") from error
        except OSError as error:
            raise Lost(str(error)) from error

    def frame(self):
        while True:
            if len(self.buffer) >= 4:
                size = struct.unpack_from(">i", self.buffer)[0] + 4
                if len(self.buffer) >= size:
                    frame, self.buffer = self.buffer[4:size], self.buffer[size:]
                    return frame
            try:
                data = self.socket.recv(65536)
            except TimeoutError as error:
                raise AssertionError("no answer") from error
            except OSError as error:
                raise Lost(str(error)) from error
            if not data:
                raise Lost("closed")
            self.buffer += data

    def send(self, opcode, body=b""):
        if opcode == PING:
            self.write(struct.pack(">ii", -2, PING))
            return -2
        self.xid += 1
        self.write(struct.pack(">ii", self.xid, opcode) + body)
        return self.xid

    def receive(self, wanted_xid):
        """The next reply, which has to be that request's: (error, reader)."""
        reply = Reader(self.frame())
        xid, zxid, error = reply.take(">iqi")
        if xid != wanted_xid:
            raise AssertionError(f"reply to {xid}, expected {wanted_xid}")
        if zxid < self.last_zxid:
            raise AssertionError(f"zxid went back from {self.last_zxid:#x} to {zxid:#x}")
        self.last_zxid = zxid
        return error, reply

    def call(self, opcode, body=b""):
        return self.receive(self.send(opcode, body))

    def create(self, path, data=b"", flags=0):
        error, reply = self.call(CREATE, create_body(path, data, flags))
        if error:
            raise AssertionError(f"create {path}: error {error}")
        return reply.text()

    def exists(self, path):
        """The stat, or None."""
        error, reply = self.call(EXISTS, text(path) + b"\0")
        if error not in (0, NO_NODE):
            raise AssertionError(f"exists {path}: error {error}")
        return None if error else reply.stat()

    def read(self, path):
        """(data, stat), or None."""
        error, reply = self.call(GET, text(path) + b"\0")
        if error not in (0, NO_NODE):
            raise AssertionError(f"get {path}: error {error}")
        return None if error else (reply.blob(), reply.stat())

    def children(self, path):
        error, reply = self.call(CHILDREN2, text(path) + b"\0")
        if error:
            raise AssertionError(f"children {path}: error {error}")
        return sorted(reply.text() for _ in range(reply.take(">i")))

    def close(self):
        error, _ = self.call(CLOSE)
        if error:
            raise AssertionError(f"closeSession: error {error}")
        self.drop()

    def drop(self):
        self.socket.close()
