"""Writes, and reads behind a sync, are linearizable, key by key: some order of the operations that respects real time
explains every answer. A search as by Wing and Gong, with the memory of Lowe. Operations without an answer may have
happened at any time after they were asked for, or never. No zxid is looked at but to guess what to try first."""

from collections import defaultdict

from . import Epochs, Wrong, of

STEPS_MAX = 200_000
NEVER = float("inf")
BEGINNING = ("", 0)


def check(history):
    """How many keys were too hard to decide, and how many reads were set aside."""
    epochs, keys = Epochs(history), defaultdict(list)
    for record in of(history, "set", "read"):
        if record["op"] == "set" or epochs.is_current(record):
            keys[record["key"]].append(record)
    undecided = 0
    for key, operations in keys.items():
        verdict = explain(operations)
        undecided += verdict is None
        if verdict is False:
            operations.sort(key=lambda record: record["t0"])
            raise Wrong(f"no order explains {key}:\n  " + "\n  ".join(map(str, operations)))
    return {"keys": len(keys), "undecided": undecided, "stale reads set aside": epochs.stale}


def apply(state, record):
    """(state, fits): what the operation makes of (value, version), and whether its answer is right."""
    value, version = state
    if record["op"] == "read":
        return state, (record["value"], record["version"]) == state
    if record["expected"] not in (-1, version):
        return state, record["t1"] is None or record["refused"]
    done = record["value"], version + 1
    return done, record["t1"] is None or (not record["refused"] and record["version"] == version + 1)


def explain(operations):
    """Whether there is an order; None when the search was given up."""
    seen_values = {record["value"] for record in operations if record["op"] == "read"}
    end = lambda record: NEVER if record["t1"] is None else record["t1"]
    # Of unanswered writes whose value nobody saw and that expect nothing, one is as good as another: the one that was
    # asked for first can do what any of them can.
    blind = sorted((record for record in operations if record["t1"] is None and record["expected"] == -1
                    and record["value"] not in seen_values), key=lambda record: record["t0"])
    rest = [record for record in operations if not any(record is other for other in blind)]
    rest.sort(key=lambda record: (record["t1"] is None, record.get("zxid") or 0, record["t0"]))
    wanted = sum(record["t1"] is not None for record in rest)
    # A frame: what is done (a bit each), the number of blind writes used, the state, what to try next.
    stack, seen, steps = [[0, 0, BEGINNING, 0, wanted]], set(), 0
    while stack:
        done, used, state, next_, left = frame = stack[-1]
        if left == 0:
            return True
        steps += 1
        if steps > STEPS_MAX:
            return None
        horizon = min((end(record) for at, record in enumerate(rest) if not done >> at & 1), default=NEVER)
        step = None
        while next_ <= len(rest):
            at, next_ = next_, next_ + 1
            if at == len(rest):
                if used == len(blind) or blind[used]["t0"] > horizon:
                    continue
                candidate = done, used + 1, (blind[used]["value"], state[1] + 1), 0, left
            else:
                record = rest[at]
                if done >> at & 1 or record["t0"] > horizon:
                    continue
                after, fits = apply(state, record)
                if not fits or (record["t1"] is None and after == state):
                    continue
                candidate = done | 1 << at, used, after, 0, left - (record["t1"] is not None)
            if candidate[:3] not in seen:
                seen.add(candidate[:3])
                step = list(candidate)
                break
        frame[3] = next_
        if step:
            stack.append(step)
        else:
            stack.pop()
    return False
