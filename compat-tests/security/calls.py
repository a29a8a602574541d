"""Every request of the protocol as bytes, who asks, and what came of it."""

import base64
import hashlib
import struct

import client
from client import blob, strings, text
from trials import LONG_MS, SUPER_PASSWORD

READ, WRITE, CREATE, DELETE, ADMIN, ALL = 1, 2, 4, 8, 16, 31
RIGHTS = {"read": READ, "write": WRITE, "create": CREATE, "delete": DELETE, "admin": ADMIN}

OP = {
    "create": 1, "delete": 2, "exists": 3, "getData": 4, "setData": 5, "getACL": 6, "setACL": 7, "getChildren": 8,
    "sync": 9, "ping": 11, "getChildren2": 12, "check": 13, "multi": 14, "create2": 15, "reconfig": 16,
    "checkWatches": 17, "removeWatches": 18, "createContainer": 19, "deleteContainer": 20, "createTTL": 21,
    "multiRead": 22, "auth": 100, "setWatches": 101, "sasl": 102, "getEphemerals": 103, "getAllChildrenNumber": 104,
    "setWatches2": 105, "addWatch": 106, "whoAmI": 107, "createSession": -10, "closeSession": -11,
}
NO_AUTH, UNIMPLEMENTED, AUTH_FAILED, INCONSISTENT = -102, -6, -115, -2
PERSISTENT, RECURSIVE = 0, 1


def digest_of(user):
    """The id of `name:password`."""
    secret = base64.b64encode(hashlib.sha1(user.encode()).digest()).decode()
    return f"{user.split(':')[0]}:{secret}"


def acl(*entries):
    """Entries are (rights, scheme, id)."""
    body = b"".join(struct.pack(">i", rights) + text(scheme) + text(who) for rights, scheme, who in entries)
    return struct.pack(">i", len(entries)) + body


OPEN = acl((ALL, "world", "anyone"))
# Everybody is stranger to it.
NOBODY = acl((ALL, "digest", digest_of("nobody:at all")))


def create(path, list_=OPEN, flags=0, data=b"x"):
    return text(path) + blob(data) + list_ + struct.pack(">i", flags)


def create_ttl(path, list_=OPEN):
    return create(path, list_, 5) + struct.pack(">q", 10**9)


def versioned(path):
    return text(path) + struct.pack(">i", -1)


def set_data(path, data=b"changed"):
    return text(path) + blob(data) + struct.pack(">i", -1)


def set_acl(path, list_):
    return text(path) + list_ + struct.pack(">i", -1)


def watched(path, watch=False):
    return text(path) + bytes([watch])


def numbered(path, number):
    return text(path) + struct.pack(">i", number)


def multi(*parts):
    """Parts are (opcode's name, body)."""
    return client.multi_body([(OP[name], body) for name, body in parts])


def reconfig(joining=None, leaving=None):
    optional = lambda value: struct.pack(">i", -1) if value is None else text(value)
    return optional(joining) + optional(leaving) + optional(None) + struct.pack(">q", -1)


def set_watches(count, *paths):
    """With `count` lists, the first of them of these paths, from the beginning of all time."""
    return struct.pack(">q", 0) + strings(list(paths)) + strings([]) * (count - 1)


class Caller(client.Connection):
    """A session of somebody's: their users by `name:password`."""

    def __init__(self, port, *users):
        super().__init__(port, client.PATIENCE, timeout_ms=LONG_MS)
        for user in users:
            assert self.auth("digest", user.encode()) == 0

    def auth(self, scheme, data):
        return self.special(-4, OP["auth"], struct.pack(">i", 0) + text(scheme) + blob(data))[0]

    def ask(self, name, body=b""):
        """(error, reply); of a multi the error of the part that failed."""
        error, reply = self.call(OP[name], body)
        if error == 0 and name in ("multi", "multiRead"):
            return first_error(reply), reply
        return error, reply

    def do(self, name, body=b""):
        error, reply = self.ask(name, body)
        assert error == 0, f"{name}: error {error}"
        return reply

    def ended(self):
        """Whether the server has closed, or does now, without another word."""
        try:
            return not self.buffer and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def take_events(self):
        """What was heard up to now, as (type, path)."""
        # What was sent to this connection before the answer was.
        assert self.ask("ping")[0] == 0
        events, self.events = self.events, []
        return [(kind, path) for kind, path, _ in events]


def first_error(reply):
    """Of the parts of a multi the error of the one that failed; those behind it have no reason of their own."""
    while True:
        kind, done, error = reply.take(">ibi")
        if done:
            return 0
        if kind == -1:
            error = reply.take(">i")
            if error not in (0, INCONSISTENT):
                return error
            continue
        if kind in (OP["create"], OP["create2"]):
            reply.text()
        if kind in (OP["create2"], OP["setData"]):
            reply.stat()
        if kind == OP["getData"]:
            reply.blob(), reply.stat()
        if kind == OP["getChildren"]:
            [reply.text() for _ in range(reply.take(">i"))]


def superuser(port):
    return Caller(port, SUPER_PASSWORD)
