"""Who may do what: for every request the right that it needs and the node whose list has to give it. Who has exactly
that right gets through, who has all the others is refused, in every scheme; ancestors do not count. The same table holds
for Java's server, but for what DIFFERENT says."""

import struct

import calls
from calls import (ADMIN, ALL, AUTH_FAILED, CREATE, DELETE, NO_AUTH, NOBODY, OP, OPEN, READ, UNIMPLEMENTED, WRITE, Caller,
                   acl, digest_of, superuser)
from client import blob, text
from ports import free_ports
from trials import JAVA, SUPER_PASSWORD, Tally, start, start_member

ALICE, BOB = "alice:secret", "bob:secret"
CONFIG = "/zookeeper/config"

# -- what is needed --

NODE, PARENT, NOTHING = "the node", "its parent", "nothing"


class Request:
    def __init__(self, name, op, body, where, *rights, kind="child"):
        """`body` takes the path; any one of the rights is enough. `kind`: whether the path has a node."""
        self.name, self.op, self.body, self.where, self.rights, self.kind = name, op, body, where, rights, kind
        self.writes = where == PARENT or WRITE in rights or rights == (ADMIN,) or op == "multi"


def part(op, body):
    """In a multi, behind a part that is allowed and must not count when this one is refused."""
    return lambda path: calls.multi(("setData", calls.set_data("/witness")), (op, body(path)))


def read_part(op, body):
    return lambda path: calls.multi((op, body(path)))


VERSIONED = calls.versioned
LIST = lambda path: calls.set_acl(path, OPEN)
NEW = dict(kind="new")
TABLE = [
    Request("create", "create", calls.create, PARENT, CREATE, **NEW),
    Request("create ephemeral", "create", lambda p: calls.create(p, flags=1), PARENT, CREATE, **NEW),
    Request("create sequential", "create", lambda p: calls.create(p, flags=2), PARENT, CREATE, **NEW),
    Request("create2", "create2", calls.create, PARENT, CREATE, **NEW),
    Request("createContainer", "createContainer", lambda p: calls.create(p, flags=4), PARENT, CREATE, **NEW),
    Request("createTTL", "createTTL", calls.create_ttl, PARENT, CREATE, **NEW),
    Request("delete", "delete", VERSIONED, PARENT, DELETE),
    Request("exists", "exists", calls.watched, NODE, READ),
    Request("getData", "getData", calls.watched, NODE, READ),
    Request("setData", "setData", calls.set_data, NODE, WRITE),
    Request("getACL", "getACL", text, NODE, READ, ADMIN),
    Request("setACL", "setACL", LIST, NODE, ADMIN),
    Request("getChildren", "getChildren", calls.watched, NODE, READ),
    Request("getChildren2", "getChildren2", calls.watched, NODE, READ),
    Request("getAllChildrenNumber", "getAllChildrenNumber", text, NODE, READ),
    Request("multi: create", "multi", part("create", calls.create), PARENT, CREATE, **NEW),
    Request("multi: create2", "multi", part("create2", calls.create), PARENT, CREATE, **NEW),
    Request("multi: createContainer", "multi", part("createContainer", lambda p: calls.create(p, flags=4)), PARENT, CREATE, **NEW),
    Request("multi: createTTL", "multi", part("createTTL", calls.create_ttl), PARENT, CREATE, **NEW),
    Request("multi: delete", "multi", part("delete", VERSIONED), PARENT, DELETE),
    Request("multi: setData", "multi", part("setData", calls.set_data), NODE, WRITE),
    Request("multi: check", "multi", part("check", VERSIONED), NODE, READ),
    Request("multiRead: getData", "multiRead", read_part("getData", calls.watched), NODE, READ),
    Request("multiRead: getChildren", "multiRead", read_part("getChildren", calls.watched), NODE, READ),
    Request("sync", "sync", text, NOTHING),
    Request("ping", "ping", lambda _: b"", NOTHING),
    Request("getEphemerals", "getEphemerals", text, NOTHING),
    Request("whoAmI", "whoAmI", lambda _: b"", NOTHING),
    Request("addWatch", "addWatch", lambda p: calls.numbered(p, calls.PERSISTENT), NOTHING),
    Request("addWatch recursive", "addWatch", lambda p: calls.numbered(p, calls.RECURSIVE), NOTHING),
    Request("setWatches", "setWatches", lambda p: calls.set_watches(3, p), NOTHING),
    Request("setWatches2", "setWatches2", lambda p: calls.set_watches(5, p), NOTHING),
]
# Judged by tests of their own: what they are about is no node, or not one that a client makes.
ELSEWHERE = {"reconfig", "auth", "sasl", "closeSession", "checkWatches", "removeWatches"}
# What no client may ask for at all.
REFUSED = {"check", "deleteContainer", "createSession"}
# Where Java's server differs, and why this one does not follow it.
DIFFERENT = {
    "deleteContainer": "Java takes it from clients and removes any node without children, without a look at rights: it is "
                       "meant for the server itself",
    "createSession": "Java takes it from clients and lets them choose any timeout: it is meant for the server itself",
}


# -- who asks --


class Scheme:
    """`entry`: the list that gives the caller these rights; `others`: who is not meant by it."""

    def __init__(self, name, users, entry, others=()):
        self.name, self.users, self.entry, self.others = name, users, entry, others


def digest_entry(rights, user=ALICE):
    return (rights, "digest", digest_of(user))


SCHEMES = [
    Scheme("world", (), lambda r: acl((r, "world", "anyone"))),
    Scheme("digest", (ALICE,), lambda r: acl(digest_entry(r)), others=((), (BOB,), ("alice:wrong",))),
    Scheme("digest, as the second of two users", (BOB, ALICE), lambda r: acl(digest_entry(r))),
    Scheme("ip", (), lambda r: acl((r, "ip", "127.0.0.1"))),
    Scheme("ip, a network", (), lambda r: acl((r, "ip", "127.0.0.0/8"))),
    Scheme("two entries together", (ALICE,), lambda r: acl(digest_entry(r & 5), (r & 26, "ip", "127.0.0.1"))),
]


def lists_of_others():
    """Lists that give everything to somebody else."""
    yield "another user", NOBODY
    yield "another address", acl((ALL, "ip", "10.1.2.3"))
    yield "another network", acl((ALL, "ip", "10.0.0.0/8"), (ALL, "ip", "128.0.0.0/1"))
    yield "an address of the other family", acl((ALL, "ip", "0:0:0:0:0:0:0:1"))


# -- trials --


class Stage:
    """A server, its superuser, and nodes that nobody used before."""

    def __init__(self, server):
        self.server, self.root, self.count = server, superuser(server.port), 0
        self.callers = {}
        self.root.do("create", calls.create("/witness"))

    def caller(self, users):
        """Who only asks what changes nothing of the session may share one."""
        if users not in self.callers:
            self.callers[users] = Caller(self.server.port, *users)
        return self.callers[users]

    def node(self, request, list_):
        """The path to ask about: its list, or its parent's, is the one given, and the other one is nobody's."""
        self.count += 1
        parent = f"/n{self.count}"
        self.root.do("create", calls.create(parent, list_ if request.where == PARENT else NOBODY))
        path = parent + "/child"
        if request.kind == "child":
            self.root.do("create", calls.create(path, list_ if request.where == NODE else NOBODY))
        return path

    def state(self, path):
        """Everything that a refused request must leave alone."""
        parent = path.rsplit("/", 1)[0]
        told = [self.root.ask("getData", calls.watched(one)) for one in (path, parent, "/witness")]
        seen = [(error, None if error else (reply.blob(), reply.stat())) for error, reply in told]
        lists = [self.root.ask("getACL", text(one)) for one in (path, parent)]
        return seen, [(error, reply.data[reply.at:]) for error, reply in lists]

    def trial(self, request, caller, list_, expected, who):
        path = self.node(request, list_)
        before = self.state(path)
        error, _ = caller.ask(request.op, request.body(path))
        assert error == expected, f"{request.name} by {who}: error {error}, expected {expected}"
        after = self.state(path)
        if expected != 0 or not request.writes:
            assert after == before, f"{request.name} by {who} changed {before} to {after}"
        else:
            assert after != before, f"{request.name} by {who} changed nothing"


def right_is_needed(stage, request):
    for scheme in SCHEMES:
        caller = stage.caller(scheme.users)
        if request.where == NOTHING:
            stage.trial(request, caller, NOBODY, 0, scheme.name)
            continue
        for right in request.rights:
            stage.trial(request, caller, scheme.entry(right), 0, f"{scheme.name} with {right} alone")
            stage.trial(request, caller, scheme.entry(ALL), 0, f"{scheme.name} with every right")
        rest = ALL & ~sum(request.rights)
        stage.trial(request, caller, scheme.entry(rest), NO_AUTH, f"{scheme.name} with {rest}")
        stage.trial(request, caller, scheme.entry(0), NO_AUTH, f"{scheme.name} with no right")
        for users in scheme.others:
            stage.trial(request, stage.caller(users), scheme.entry(ALL), NO_AUTH, f"{scheme.name} for {users}")
    if request.where != NOTHING:
        for who, list_ in lists_of_others():
            stage.trial(request, stage.caller((ALICE,)), list_, NO_AUTH, f"a list for {who}")
    stage.trial(request, stage.root, NOBODY, 0, "the superuser")


def scheme_auth_is_who_asks(stage):
    """A list of scheme `auth` is stored as the ids of who gives it, and of those that were proved alone."""
    alice = stage.caller((ALICE,))
    alice.do("create", calls.create("/own", acl((READ, "auth", ""))))
    reply = stage.root.do("getACL", text("/own"))
    assert reply.take(">i") == 1 and reply.take(">i") == READ
    assert (reply.text(), reply.text()) == ("digest", digest_of(ALICE))
    assert alice.ask("getData", calls.watched("/own"))[0] == 0
    assert alice.ask("setData", calls.set_data("/own"))[0] == NO_AUTH
    for users in ((), (BOB,)):
        assert stage.caller(users).ask("getData", calls.watched("/own"))[0] == NO_AUTH, users
    # An address proves nothing.
    invalid_acl = -114
    assert stage.caller(()).ask("create", calls.create("/other", acl((READ, "auth", ""))))[0] == invalid_acl
    for scheme in ("super", "nonsense"):
        assert stage.root.ask("create", calls.create("/other", acl((ALL, scheme, ""))))[0] == invalid_acl, scheme


def hashes_are_for_who_administers(stage):
    """Whoever may read alone sees of a digest the name."""
    for rights, shown in ((READ, "alice:x"), (READ | ADMIN, digest_of(ALICE)), (ADMIN, digest_of(ALICE))):
        path = f"/hash{rights}"
        stage.root.do("create", calls.create(path, acl(digest_entry(ALL), (rights, "world", "anyone"))))
        reply = stage.caller(()).do("getACL", text(path))
        assert reply.take(">i") == 2 and reply.take(">i") == ALL
        assert (reply.text(), reply.text()) == ("digest", shown), rights


def watches_are_ones_own(stage):
    """checkWatches and removeWatches need no right, and reach no watch of another session."""
    stage.root.do("create", calls.create("/watched", NOBODY))
    alice, bob = stage.caller((ALICE,)), stage.caller((BOB,))
    no_watcher, any_kind = -121, 3
    alice.do("addWatch", calls.numbered("/watched", calls.PERSISTENT))
    for name in ("checkWatches", "removeWatches"):
        assert bob.ask(name, calls.numbered("/watched", any_kind))[0] == no_watcher
        assert alice.ask(name, calls.numbered("/watched", any_kind))[0] == 0


def who_proves_nothing_is_sent_away(stage):
    for scheme, data in (("nonsense", b"x"), ("world", b"anyone"), ("super", b""), ("auth", b""), ("sasl", b"x")):
        caller = Caller(stage.server.port)
        assert caller.auth(scheme, data) == AUTH_FAILED, scheme
        assert caller.ended(), f"{scheme}: the connection goes on"
    # Any password is a user: it proves nothing but that it was said.
    caller = Caller(stage.server.port, "super:wrong")
    assert caller.ask("create", calls.create("/witness/x", NOBODY))[0] == 0
    assert caller.ask("getData", calls.watched("/witness/x"))[0] == NO_AUTH
    # A server without SASL says so, and nobody is anybody by it.
    error, reply = caller.call(OP["sasl"], blob(b"\0super\0super"))
    assert error == 0 and reply.blob() is None
    assert caller.ask("getData", calls.watched("/witness/x"))[0] == NO_AUTH


def ephemerals_end_by_their_session_alone(stage):
    """closeSession asks for no right, and takes nobody else's nodes along."""
    caller, other = Caller(stage.server.port, ALICE), Caller(stage.server.port, BOB)
    for one, path in ((caller, "/witness/a"), (other, "/witness/b")):
        one.do("create", calls.create(path, NOBODY, flags=1))
    assert caller.ask("closeSession")[0] == 0
    missing = -101
    assert stage.root.ask("exists", calls.watched("/witness/a"))[0] == missing
    assert stage.root.ask("exists", calls.watched("/witness/b"))[0] == 0
    other.close()


def every_other_opcode_is_refused(stage):
    """The table is complete: what is not in it ends the connection."""
    judged = {OP[request.op] for request in TABLE} | {OP[name] for name in ELSEWHERE}
    excused = {OP[name] for name in DIFFERENT} if JAVA else set()
    refused = [op for op in [*range(-130, 130), -(2**31), 2**31 - 1] if op not in judged | excused]
    assert all(OP[name] in refused for name in REFUSED if not JAVA or name not in DIFFERENT)
    for op in refused:
        caller = Caller(stage.server.port, SUPER_PASSWORD)
        caller.xid += 1
        caller.write(struct.pack(">ii", caller.xid, op) + calls.create("/witness", OPEN))
        reply = calls.client.Reader(caller.frame())
        xid, _, error = reply.take(">iqi")
        assert (xid, error) == (caller.xid, UNIMPLEMENTED), (op, xid, error)
        assert caller.ended(), f"opcode {op}: the connection goes on"
    for op in DIFFERENT:
        if JAVA:
            print(f"        {op} differs: {DIFFERENT[op]}")


def reconfig_needs_write_on_the_configuration(stage):
    ports = free_ports(3)
    joining = f"server.2=127.0.0.1:{ports[0]}:{ports[1]}:observer;127.0.0.1:{ports[2]}"
    for scheme in SCHEMES:
        caller = stage.caller(scheme.users)
        for rights, expected in ((WRITE, 0), (ALL & ~WRITE, NO_AUTH), (0, NO_AUTH)):
            stage.root.do("setACL", calls.set_acl(CONFIG, scheme.entry(rights)))
            for body in (calls.reconfig(joining=joining), calls.reconfig(leaving="2")):
                error, _ = caller.ask("reconfig", body)
                assert error == expected, f"{scheme.name} with {rights}: error {error}, expected {expected}"
        for users in scheme.others:
            stage.root.do("setACL", calls.set_acl(CONFIG, scheme.entry(ALL)))
            assert stage.caller(users).ask("reconfig", calls.reconfig(joining=joining))[0] == NO_AUTH, users
    stage.root.do("setACL", calls.set_acl(CONFIG, NOBODY))
    stage.root.do("reconfig", calls.reconfig(joining=joining))
    stage.root.do("reconfig", calls.reconfig(leaving="2"))


def reconfig_is_off_unless_wanted(stage):
    disabled = -123
    assert stage.root.ask("reconfig", calls.reconfig(leaving="2"))[0] == disabled


def enforced_schemes(tally):
    """With enforce.auth, who has no id of that scheme is told so, whatever it asks, and sent away."""
    required = -124
    with start("enforced", "enforce.auth.enabled=true", "enforce.auth.schemes=digest") as server:
        def nobody_without():
            for name in sorted(set(OP) - {"auth", "sasl"}):
                caller = Caller(server.port)
                caller.xid += 1
                caller.write(struct.pack(">ii", caller.xid, OP[name]) + calls.watched("/"))
                _, zxid, error = calls.client.Reader(caller.frame()).take(">iqi")
                assert (zxid, error) == (0, required), (name, zxid, error)
                assert caller.ended(), f"{name}: the connection goes on"
            assert Caller(server.port, ALICE).ask("getData", calls.watched("/"))[0] == 0
        tally.run("enforce.auth: nothing without an id of the scheme", nobody_without)


def main():
    tally = Tally()
    with start("grants") as server:
        stage = Stage(server)
        for request in TABLE:
            rights = " or ".join(name for name, right in calls.RIGHTS.items() if right in request.rights)
            needs = f"{rights} on {request.where}" if rights else "no right"
            tally.run(f"{request.name} needs {needs}", right_is_needed, stage, request)
        for check in (scheme_auth_is_who_asks, hashes_are_for_who_administers, watches_are_ones_own,
                      who_proves_nothing_is_sent_away, ephemerals_end_by_their_session_alone,
                      every_other_opcode_is_refused, reconfig_is_off_unless_wanted):
            tally.run(check.__name__, check, stage)
    with start_member("member") as server:
        stage = Stage(server)
        tally.run("reconfig needs write on " + CONFIG, reconfig_needs_write_on_the_configuration, stage)
        # The way of a write is another one in an ensemble.
        for request in TABLE:
            if request.writes:
                tally.run(f"{request.name}, of a member", right_is_needed, stage, request)
    enforced_schemes(tally)
    tally.conclude()


if __name__ == "__main__":
    main()
