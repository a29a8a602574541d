"""An ephemeral znode is there as long as its session: not gone before, and not there after. A session that was not closed
lives at least for its timeout after the last request that was answered."""

from . import Epochs, Wrong, answered, by_session, of


def check(history):
    sessions, epochs = by_session(history), Epochs(history)
    lists = [record for record in of(history, "list") if epochs.is_current(record)]
    lost = of(history, "lost")
    for record in lost:
        if record["t0"] is not None and record["t1"] < record["t0"] + record["timeout"]:
            raise Wrong(f"a session has ended {record['t1'] - record['t0']:.2f} s after it was heard of, its timeout is "
                        f"{record['timeout']} s: {record}")
    ephemerals = [record for record in answered(of(history, "ephemeral"))]
    for record in ephemerals:
        own = sessions[record["session"]]
        closing = [other for other in own if other["op"] == "close"]
        closed_from = min((other["t0"] for other in closing), default=float("inf"))
        closed_at = min((other["t1"] for other in answered(closing)), default=float("inf"))
        # It lived when a later request was answered that was asked at that time, and for its timeout after that.
        heard = max(other["t0"] for other in own if other["t0"] is not None and other["op"] != "close")
        alive_until = min(closed_from, heard + record["timeout"])
        name = record["path"].rsplit("/", 1)[1]
        for seen in lists:
            if seen["t0"] > closed_at and name in seen["names"]:
                raise Wrong(f"{record['path']} is there after its session was closed at {closed_at}: {without(seen)}")
            if record["t1"] < seen["t0"] and seen["t1"] < alive_until and name not in seen["names"]:
                raise Wrong(f"{record['path']} is not there, its session {record['session']:#x} lives at least until "
                            f"{alive_until}: {without(seen)}")
    for end in of(history, "end of ephemerals"):
        for path, owner in end["znodes"]:
            if owner not in end["alive"]:
                raise Wrong(f"{path} is left of session {owner:#x}")
        there = {owner for _, owner in end["znodes"]}
        for record in ephemerals:
            if record["session"] in end["alive"] and record["session"] not in there:
                raise Wrong(f"{record['path']} of the live session {record['session']:#x} is gone at the end")
    return {"ephemerals": len(ephemerals), "lists": len(lists), "sessions expired": len(lost)}


def without(record):
    return {key: value for key, value in record.items() if key != "names"}
