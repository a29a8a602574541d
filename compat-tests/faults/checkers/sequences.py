"""Sequence numbers: none twice, rising in the order of the zxids and of real time; what was acknowledged is there at the
end, what was not answered is there once or not at all, and nothing else is."""

from collections import defaultdict

from . import Wrong, answered, of


def check(history):
    records = of(history, "sequence")
    acknowledged = sorted(answered(records), key=lambda record: record["path"])
    for one, other in zip(acknowledged, acknowledged[1:]):
        if one["path"] == other["path"]:
            raise Wrong(f"one number for two: {one}, {other}")
        if one["zxid"] >= other["zxid"]:
            raise Wrong(f"the greater number has the smaller zxid: {one}, {other}")
    # From the last to the first: nothing with a greater number was over before this one was asked for.
    earliest = None
    for record in reversed(acknowledged):
        if earliest and earliest["t1"] < record["t0"]:
            raise Wrong(f"{earliest} was over before {record} began")
        if earliest is None or record["t1"] < earliest["t1"]:
            earliest = record
    found = defaultdict(list)
    for end in of(history, "end of sequences"):
        for path, data, czxid in end["znodes"]:
            found[data].append((path, czxid))
    if not of(history, "end of sequences"):
        raise Wrong("nobody has looked at the end")
    for record in records:
        there = found.pop(record["data"], [])
        if record["t1"] is not None and there != [(record["path"], record["zxid"])]:
            raise Wrong(f"acknowledged: {record}, there is {there}")
        if len(there) > 1:
            raise Wrong(f"one create has made {there}: {record}")
    if found:
        raise Wrong(f"nobody has created {dict(list(found.items())[:5])}")
    return {"acknowledged": len(acknowledged), "unanswered": len(records) - len(acknowledged)}
