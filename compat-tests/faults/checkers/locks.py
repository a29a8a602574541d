"""The lock belongs to one at a time, by the clock and by its fence: the zxid of the holder's place in the queue, which
each holder writes, rises with the zxids of those writes."""

from . import Wrong, answered, of


def check(history):
    holds = sorted(of(history, "hold"), key=lambda record: record["t0"])
    for one, other in zip(holds, holds[1:]):
        if other["t0"] < one["t1"]:
            raise Wrong(f"two hold the lock: {one}, {other}")
        if other["fence"] <= one["fence"]:
            raise Wrong(f"the fence falls: {one}, {other}")
    writes = answered(of(history, "fence"))
    for record in writes:
        if record["seen"] not in (None, record["fence"]):
            raise Wrong(f"somebody has written while the lock was held: {record}")
    writes.sort(key=lambda record: record["zxid"])
    for one, other in zip(writes, writes[1:]):
        if other["fence"] < one["fence"]:
            raise Wrong(f"an old holder has written after a new one: {one}, {other}")
    return {"holds": len(holds)}
