"""Whether all servers have the same: every znode with its data, ACL and stat, digests, ephemerals, configuration."""

import re

from client import CHILDREN2, GET, GET_ACL, Session, Violation
from cluster import Failed, SUPER_PASSWORD, eventually
from wire import NO_NODE, Lost, text

CONFIG = "/zookeeper/config"
RECEIVED_SNAPSHOT = re.compile(r"Getting a snapshot from leader|\bSNAP\b")
SPREAD = 200  # requests under way at a time


class Changed(Exception):
    """A znode went while the tree was read: a session has expired."""


def pipelined(connection, requests):
    """The replies to [(opcode, body)], in their order."""
    replies = []
    for start in range(0, len(requests), SPREAD):
        part = requests[start:start + SPREAD]
        xids = [connection.send(*request) for request in part]
        replies += [connection.receive(xid) for xid in xids]
    return replies


def dump(connection):
    """{path: (data, ACL and its version, stat)} of the server's tree."""
    tree, level = {}, ["/"]
    while level:
        requests = []
        for path in level:
            requests += [(GET, text(path) + b"\0"), (GET_ACL, text(path)), (CHILDREN2, text(path) + b"\0")]
        replies, deeper = pipelined(connection, requests), []
        for number, path in enumerate(level):
            parts = []
            for error, reply in replies[3 * number:3 * number + 3]:
                if error == NO_NODE:
                    raise Changed(path)
                if error:
                    raise Violation(f"reading {path}: error {error}")
                parts.append(reply)
            data, stat = parts[0].blob(), parts[0].stat()
            acl = [(parts[1].take(">i"), parts[1].text(), parts[1].text()) for _ in range(parts[1].take(">i"))]
            names = sorted(parts[2].text() for _ in range(parts[2].take(">i")))
            tree[path] = data, acl, stat
            deeper += [f"{path.rstrip('/')}/{name}" for name in names]
        level = deeper
    return tree


def members(config):
    """The configuration as a set of its lines: every server formats it in its own way."""
    return frozenset(config.decode().split("\n")) if config else frozenset()


def normal(tree):
    """What has to be equal everywhere."""
    tree = dict(tree)
    data, acl, stat = tree.pop(CONFIG)
    # Each server writes this znode by itself; the time is its own.
    tree[CONFIG] = members(data), acl, stat._replace(mtime=0, length=0)
    return tree


def ephemerals(server):
    """The part of `dump` that every server has: sessions with their ephemeral znodes."""
    found, owner = {}, None
    for line in (server.word("dump") or "").partition("Sessions with Ephemerals")[2].splitlines()[1:]:
        if line.startswith("0x"):
            owner = line.rstrip(":")
        elif line.startswith("\t/"):
            found.setdefault(owner, set()).add(line.strip())
    return found


def digests(server):
    """{zxid: line} of the tree's digests that the server remembers."""
    found = {}
    for line in (server.word("hash") or "").splitlines():
        parts = line.split()
        if len(parts) >= 2:
            found[parts[0]] = line.strip()
    return found


def compare(cluster):
    """Waits until all servers are at one zxid, and compares them. The load has to rest. Gives the number of znodes."""
    sessions = {}
    try:
        for server in cluster.running():
            session = Session(lambda address=server.address: [address], 60_000, auth=SUPER_PASSWORD)
            session.connect()
            sessions[server] = session

        def dumps():
            before = cluster.wait_equal_zxid()
            try:
                for session in sessions.values():
                    session.sync()
                found = {server: normal(dump(session.connection)) for server, session in sessions.items()}
            except Changed:
                return None
            except Lost:
                for session in sessions.values():
                    session.lose()
                return None
            named = {server: ephemerals(server) for server in sessions}
            # Sessions that ran out meanwhile have changed it: then once more.
            return (found, named) if {server.zxid() for server in sessions} == {before} else None

        found, named = eventually("a moment without changes", dumps)
        reference = next(iter(found))
        for server in found:
            different(reference, found[reference], server, found[server])
            if named[server] != named[reference]:
                raise Failed(f"ephemerals by `dump`: {reference}: {named[reference]}, {server}: {named[server]}")
        compare_digests(cluster)
        return len(found[reference])
    finally:
        for session in sessions.values():
            try:
                session.close()
            except AssertionError:
                pass


def different(one, one_tree, other, other_tree):
    paths = [path for path in sorted(one_tree.keys() | other_tree.keys()) if one_tree.get(path) != other_tree.get(path)]
    if paths:
        lines = [f"{path}\n    {one_tree.get(path)}\n    {other_tree.get(path)}" for path in paths[:5]]
        raise Failed(f"the trees of {one} and {other} differ in {len(paths)} znodes:\n  " + "\n  ".join(lines))


def compare_digests(cluster):
    """No server has seen a digest that was not its own, and where they remember the same moment they agree."""
    remembered = {}
    for server in cluster.running():
        # 3.8.0 computes some of them wrongly, and says nothing of how it was brought up to date.
        if server.kind == "debian":
            continue
        mismatches = int(server.mntr().get("digest_mismatches_count", 0))
        # Excused are mismatches while a server catches up, that is, until the first comparison. A snapshot from the
        # leader may contain what follows it, and transactions that are applied for the second time then count as
        # mismatches. And Java 3.8 logs wrong digests with what it gets by DIFF, and reads them at the next start.
        # For the same reasons what a Java server remembers of that time may be wrong.
        if server.excused_run != server.runs:
            server.excused_run = server.runs
            caught_up = server.runs > 1 or RECEIVED_SNAPSHOT.search(server.log())
            server.excused = mismatches if caught_up else 0
            server.forgotten = server.zxid() if caught_up and server.kind != "ferrokeeper" else 0
        if mismatches > server.excused:
            raise Failed(f"{server} has seen {mismatches} digests that do not match its tree")
        for zxid, line in digests(server).items():
            if int(zxid.rstrip(":"), 16) <= server.forgotten:
                continue
            first, other = remembered.setdefault(zxid, (line, server))
            if line != first:
                raise Failed(f"digests at {zxid}: {other}: {first}, {server}: {line}")
