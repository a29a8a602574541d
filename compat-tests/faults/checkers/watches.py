"""Watches: on one connection each change comes once, in order, before any answer that shows it and not before it has
happened; a one-time watch tells before a read does."""

from . import Wrong, of


def check(history):
    changes = sorted((record["zxid"], record["kind"], record["path"]) for record in of(history, "change")
                     if record["t1"] is not None and record["zxid"])
    events_seen = sum(one_span(record, changes) for record in of(history, "span"))
    for record in of(history, "watched"):
        if record["version"] < record["armed"]:
            raise Wrong(f"a session goes back in time: {record}")
        if record["version"] > record["armed"] and not record["events"]:
            raise Wrong(f"a read has overtaken the event: {record}")
        if record["events"] and record["version"] == record["armed"]:
            raise Wrong(f"an event of nothing, or too early: {record}")
    return {"events": events_seen, "one-time events": sum(bool(r["events"]) for r in of(history, "watched"))}


def one_span(record, changes):
    stream = record["stream"]
    if len(stream) < 2:
        return 0
    shown, seen = 0, {}
    for at, entry in enumerate(stream):
        if entry[0] == "reply":
            if entry[1] < shown:
                raise Wrong(f"an answer at {entry[1]:#x} after something at {shown:#x}: {excerpt(stream, at)}")
            shown = entry[1]
            continue
        _, kind, path, zxid = entry
        if (kind, path) in seen:
            raise Wrong(f"event {kind} of {path} comes twice: {excerpt(stream, at)}")
        seen[kind, path] = at
        if zxid > 0:  # servers before 3.9 do not say
            if zxid <= shown:
                raise Wrong(f"event {kind} of {path} at {zxid:#x} after an answer at {shown:#x}: {excerpt(stream, at)}")
            # An answer below it, later, would show what was before: the event was early.
            behind = [other[1] for other in stream[at:] if other[0] == "reply" and other[1] < zxid]
            if behind:
                raise Wrong(f"event {kind} of {path} at {zxid:#x} before an answer at {behind[0]:#x}")
    begin, end = stream[0][1], stream[-1][1]
    last, count = -1, 0
    for zxid, kind, path in changes:
        if not begin < zxid <= end:
            continue
        at = seen.get((kind, path))
        if at is None:
            raise Wrong(f"no event {kind} of {path} at {zxid:#x}, on a connection from {begin:#x} to {end:#x}: "
                        f"{record['client']}, session {record['session']:#x}")
        if at < last:
            raise Wrong(f"event {kind} of {path} comes before that of an earlier change: {excerpt(stream, at)}")
        before = max((entry[1] for entry in stream[:at] if entry[0] == "reply"), default=0)
        after = next((entry[1] for entry in stream[at:] if entry[0] == "reply"), None)
        if before >= zxid or (after is not None and after < zxid):
            raise Wrong(f"event {kind} of {path} at {zxid:#x} between answers at {before:#x} and {after:#x}")
        last, count = at, count + 1
    return count


def excerpt(stream, at):
    return stream[max(0, at - 5):at + 5]
