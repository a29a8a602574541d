"""A multi is done as a whole: of two znodes that are only written together, who reads the second after the first sees it
as new or newer, and as old means as equal."""

from . import Wrong, of


def check(history):
    for record in of(history, "pair"):
        (a, a_zxid, a_version), (b, b_zxid, b_version) = record["a"], record["b"]
        if b_zxid < a_zxid or b_version < a_version:
            raise Wrong(f"half of a multi: {record}")
        # They were created one after the other, and at version 0 nobody has written yet.
        if a_version and ((a_zxid == b_zxid) != (a_version == b_version) or (a_version == b_version and a != b)):
            raise Wrong(f"two halves that do not belong together: {record}")
    # What was acknowledged is one transaction of its own, and the last of them, or one without an answer, is there.
    both = of(history, "both")
    zxids = [record["zxid"] for record in both if record["t1"] is not None]
    if len(set(zxids)) != len(zxids):
        raise Wrong("two multis have one zxid")
    for end in of(history, "end of pairs"):
        (a, a_zxid, a_version), (b, b_zxid, b_version) = end["a"], end["b"]
        if a_version + b_version and (a, a_zxid, a_version) != (b, b_zxid, b_version):
            raise Wrong(f"the pair differs at the end: {end}")
        if not len(zxids) <= a_version <= len(both):
            raise Wrong(f"{len(zxids)} multis were acknowledged, {len(both)} were sent, the version is {a_version}")
        if zxids and a_zxid < max(zxids):
            raise Wrong(f"the last acknowledged multi was at {max(zxids):#x}, the pair is at {a_zxid:#x}")
    return {"multis": len(zxids), "pairs read": len(of(history, "pair"))}
