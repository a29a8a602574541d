"""Each session sees its own writes, never goes back in time, and its answers carry zxids that do not fall."""

from . import Wrong, answered, by_session, of


def check(history):
    count = 0
    for session, records in by_session(answered(of(history, "set", "read", "get"))).items():
        zxid, versions = 0, {}
        for record in sorted(records, key=lambda record: record["t0"]):
            if record["zxid"] < zxid:
                raise Wrong(f"session {session:#x} has seen zxid {zxid:#x}, then {record}")
            zxid = record["zxid"]
            if record["version"] is not None:
                if record["version"] < versions.get(record["key"], 0):
                    raise Wrong(f"session {session:#x} has seen version {versions[record['key']]}, then {record}")
                versions[record["key"]] = record["version"]
            count += 1
    return {"answers": count}
