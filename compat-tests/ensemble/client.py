"""A session that lives through the loss of servers, and says of every write what is known about it."""

import random
import struct
import time

import wire
from wire import (BAD_VERSION, CHECK, CHILDREN2, CLOSE, CREATE2, DELETE, EXISTS, GET, MULTI, NO_NODE, NODE_EXISTS,
                  PING, SET, Lost, Reader, Refused, Stat, blob, create_body, text)

GET_ACL, SYNC, RECONFIG, AUTH, SET_WATCHES2, ADD_WATCH = 6, 9, 16, 100, 105, 106
SESSION_EXPIRED, SESSION_MOVED = -112, -118
PING_XID = -2
EPHEMERAL, SEQUENTIAL = 1, 2
CREATED, DELETED, DATA_CHANGED, CHILDREN_CHANGED = 1, 2, 3, 4
PERSISTENT, RECURSIVE = 0, 1

PATIENCE = 90  # seconds that a session looks for a server


class Unknown(Exception):
    """The connection ended before the answer: the write has happened or has not, or will yet."""


class Moved(Exception):
    """The server has refused the request, because the session is served elsewhere now."""


class SessionLost(AssertionError):
    """A server says that the session does not exist."""


class NoServer(AssertionError):
    """No server took the session for a long time."""


class Violation(AssertionError):
    """A server has answered what it must not."""


def check(error, *allowed):
    if error and error not in allowed:
        raise Violation(f"error {error}")
    return error


class Connection(wire.Connection):
    """One connection, as in wire.py; with watch events, and silence counts as its end."""

    def __init__(self, port, patience_s, **rest):
        self.patience_s = patience_s
        self.events = []
        super().__init__(port, patience=patience_s, **rest)

    def write(self, body):
        try:
            super().write(body)
        except AssertionError as error:
            raise Lost("the server reads no more") from error

    def frame(self):
        try:
            return super().frame()
        except AssertionError as error:
            raise Lost("no answer") from error

    def event(self, reply, zxid):
        kind, _state = reply.take(">ii")
        path = reply.text()
        # Since 3.9 an event says which transaction it tells of; older servers say -1. It comes before any answer that
        # shows that transaction.
        if zxid > 0 and zxid <= self.last_zxid and not self.catching_up:
            raise Violation(f"event {kind} of {path} at {zxid:#x} comes after an answer at {self.last_zxid:#x}")
        self.events.append((kind, path, zxid))

    catching_up = False

    def receive(self, wanted_xid):
        while True:
            reply = Reader(self.frame())
            xid, zxid, error = reply.take(">iqi")
            if xid == -1:
                self.event(reply, zxid)
                continue
            if xid == PING_XID and wanted_xid != PING_XID:
                continue
            if xid != wanted_xid:
                raise Violation(f"reply to {xid}, expected {wanted_xid}")
            if zxid > 0:
                if zxid < self.last_zxid:
                    raise Violation(f"zxid went back from {self.last_zxid:#x} to {zxid:#x}")
                self.last_zxid = zxid
            return error, reply

    def special(self, xid, opcode, body):
        """A request with a fixed xid."""
        self.write(struct.pack(">ii", xid, opcode) + body)
        return self.receive(xid)


def multi_body(parts):
    """Parts are (opcode, body)."""
    return b"".join(struct.pack(">ibi", opcode, 0, -1) + body for opcode, body in parts) + struct.pack(">ibi", -1, 1, -1)


def set_body(path, data, version):
    return text(path) + blob(data) + struct.pack(">i", version)


def strings(values):
    return struct.pack(">i", len(values)) + b"".join(map(text, values))


class Session:
    """Reads are repeated until they are answered; a write whose answer is lost raises Unknown, and the next request
    resumes the session at some other server."""

    def __init__(self, ports, timeout_ms=30_000, first=0, auth=None):
        """`ports` gives the client ports to try, of this moment; the session begins at the one with index `first`."""
        self.ports, self.timeout_ms, self.auth = ports, timeout_ms, auth
        self.connection, self.session, self.last_zxid, self.xid = None, None, 0, 0
        self.turn = first
        self.watched = []  # persistent watches: (path, mode)
        self.on_connect = []
        self.reconnects = -1
        self.read_timeout_s = max(0.7, min(4.0, timeout_ms / 3000))

    @property
    def id(self):
        return self.session.id

    @property
    def port(self):
        return self.connection.port if self.connection else None

    # -- connection --

    def connect(self):
        """Returns once some server serves the session."""
        deadline = time.monotonic() + PATIENCE
        reasons = {}
        while time.monotonic() < deadline:
            ports = self.ports()
            port = ports[self.turn % len(ports)] if ports else None
            if port is not None:
                try:
                    return self.connect_to(port)
                except Lost as error:
                    reasons[port] = str(error)
            self.turn += 1
            time.sleep(0.02 + random.random() * 0.05)
        raise NoServer(f"session {self.session and hex(self.session.id)}, last zxid {self.last_zxid:#x}, finds no server: "
                       f"{reasons}")

    def connect_to(self, port):
        try:
            connection = Connection(port, self.read_timeout_s, timeout_ms=self.timeout_ms, session=self.session,
                                    last_zxid=self.last_zxid)
        except Refused:
            if self.session is None:
                raise Lost("no session given") from None
            raise SessionLost(f"session {self.session.id:#x} was lost (port {port})") from None
        connection.port = port
        connection.xid = self.xid
        try:
            if self.auth:
                error, _ = connection.special(-4, AUTH, struct.pack(">i", 0) + text("digest") + blob(self.auth.encode()))
                check(error)
            if self.watched and self.session is not None:
                self.restore_watches(connection)
        except Lost:
            connection.drop()
            raise
        if self.session is None:
            self.session = connection.session
        self.connection = connection
        self.reconnects += 1
        for callback in self.on_connect:
            callback()

    def restore_watches(self, connection):
        connection.catching_up = True
        of = lambda wanted: strings([path for path, mode in self.watched if mode == wanted])
        body = struct.pack(">q", self.last_zxid) + of("data") + strings([]) + strings([]) + of(PERSISTENT) + of(RECURSIVE)
        error, _ = connection.special(-8, SET_WATCHES2, body)
        check(error)
        connection.catching_up = False

    def lose(self):
        """Notes the end of the connection."""
        if self.connection:
            self.last_zxid = max(self.last_zxid, self.connection.last_zxid)
            self.xid = self.connection.xid
            self.connection.drop()
            self.connection = None
            self.turn += 1

    def take_events(self):
        if not self.connection:
            return []
        events, self.connection.events = self.connection.events, []
        return events

    # -- requests --

    def attempt(self, opcode, body):
        """One request on the present connection: (error, reply). Lost when there is no answer."""
        if self.connection is None:
            self.connect()
        try:
            error, reply = self.connection.call(opcode, body)
        except Lost:
            self.lose()
            raise
        self.last_zxid = max(self.last_zxid, self.connection.last_zxid)
        if error == SESSION_EXPIRED:
            raise SessionLost(f"session {self.id:#x} has expired, says port {self.port}")
        if error == SESSION_MOVED:
            self.lose()
            raise Moved()
        return error, reply

    def read(self, opcode, body):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.attempt(opcode, body)
            except (Lost, Moved):
                if time.monotonic() > deadline:
                    raise NoServer(f"no server answers request {opcode} of session {self.id:#x}") from None

    def write(self, opcode, body):
        """(error, reply), or Unknown. A request that was refused because the session moved is repeated."""
        while True:
            if self.connection is None:
                self.connect()
            try:
                return self.attempt(opcode, body)
            except Lost as error:
                raise Unknown(str(error)) from None
            except Moved:
                pass

    def ping(self):
        """Keeps the session alive and takes in events."""
        if self.connection is None:
            self.connect()
        try:
            self.connection.call(PING)
        except Lost:
            self.lose()

    def wait_events(self, patience_s):
        """Waits a while for events on the present connection."""
        if self.connection is None:
            self.connect()
        connection = self.connection
        if connection.events:
            return
        connection.socket.settimeout(patience_s)
        try:
            # A ping's answer would be taken for the event that is waited for: only what comes unasked is read here.
            if not connection.buffer:
                try:
                    data = connection.socket.recv(65536)
                except TimeoutError:
                    connection.socket.settimeout(connection.patience_s)
                    return
                if not data:
                    raise Lost("closed")
                connection.buffer += data
            connection.socket.settimeout(connection.patience_s)
        except (OSError, Lost):
            self.lose()
            return
        self.ping()

    def get(self, path, watch=False):
        """(data, stat), or None."""
        error, reply = self.read(GET, text(path) + (b"\1" if watch else b"\0"))
        return None if check(error, NO_NODE) else (reply.blob(), reply.stat())

    def exists(self, path, watch=False):
        error, reply = self.read(EXISTS, text(path) + (b"\1" if watch else b"\0"))
        return None if check(error, NO_NODE) else reply.stat()

    def children(self, path, watch=False):
        error, reply = self.read(CHILDREN2, text(path) + (b"\1" if watch else b"\0"))
        check(error)
        return sorted(reply.text() for _ in range(reply.take(">i")))

    def sync(self, path="/"):
        check(self.read(SYNC, text(path))[0])

    def watch(self, path, mode):
        """Adds a persistent watch, that is renewed after every reconnection."""
        error, _ = self.read(ADD_WATCH, text(path) + struct.pack(">i", mode))
        check(error)
        self.watched.append((path, mode))

    def create(self, path, data=b"", flags=0):
        """(path, stat), NODE_EXISTS or NO_NODE; may raise Unknown."""
        error, reply = self.write(CREATE2, create_body(path, data, flags))
        return check(error, NODE_EXISTS, NO_NODE) or (reply.text(), reply.stat())

    def set(self, path, data, version=-1):
        """stat, BAD_VERSION or NO_NODE; may raise Unknown."""
        error, reply = self.write(SET, set_body(path, data, version))
        return check(error, BAD_VERSION, NO_NODE) or reply.stat()

    def delete(self, path, version=-1):
        """0, BAD_VERSION or NO_NODE; may raise Unknown."""
        error, _ = self.write(DELETE, text(path) + struct.pack(">i", version))
        return check(error, BAD_VERSION, NO_NODE)

    def ensure(self, path, data=b"", flags=0):
        """Creates the znode, whatever it takes; only for znodes that nobody else makes or removes meanwhile."""
        while True:
            try:
                result = self.create(path, data, flags)
            except Unknown:
                continue
            if result == NO_NODE:
                raise Violation(f"{path} has no parent")
            return

    def reconfig(self, joining=None, leaving=None, members=None, version=-1):
        """(config, stat) or the error code; may raise Unknown."""
        optional = lambda value: struct.pack(">i", -1) if value is None else text(value)
        error, reply = self.write(
            RECONFIG, optional(joining) + optional(leaving) + optional(members) + struct.pack(">q", version))
        return error or (reply.blob().decode(), reply.stat())

    def send_reconfig(self, joining=None, leaving=None):
        """Asks, and does not wait for the answer."""
        optional = lambda value: struct.pack(">i", -1) if value is None else text(value)
        self.connection.send(RECONFIG, optional(joining) + optional(leaving) + optional(None) + struct.pack(">q", -1))

    def close(self):
        """Ends the session. Without an answer it is unknown whether it has ended; then it expires."""
        try:
            error, _ = self.write(CLOSE, b"")
            check(error)
            return True
        except Unknown:
            return False
        finally:
            self.lose()
