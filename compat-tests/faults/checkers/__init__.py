"""What must hold in every run: functions from a history to what is wrong with it, a file for each property."""

from collections import defaultdict


class Wrong(AssertionError):
    """A history that must not be."""


def of(history, *ops):
    return [record for record in history if record["op"] in ops]


def answered(records):
    return [record for record in records if record["t1"] is not None]


class Epochs:
    """A leader that was replaced and does not know it yet answers a sync from what it has, Java's as well as ours: a read
    behind it is told from an epoch before that of some write that was over. Such reads are set aside, and counted."""

    def __init__(self, history):
        self.first = {}  # epoch: when the first of its writes was acknowledged
        for record in answered(of(history, "set", "sequence", "change", "both", "fence")):
            if record.get("zxid"):
                epoch = record["zxid"] >> 32
                self.first[epoch] = min(self.first.get(epoch, record["t1"]), record["t1"])
        self.stale = 0

    def is_current(self, record):
        epoch = record["zxid"] >> 32
        current = not any(later > epoch and since < record["t0"] for later, since in self.first.items())
        self.stale += not current
        return current


def by_session(records):
    found = defaultdict(list)
    for record in records:
        found[record["session"]].append(record)
    return found
