"""Each checker lets a good history pass and notices a bad one."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from checkers import Wrong, ephemerals, linearizability, locks, pairs, sequences, session_order, watches
from client import CREATED, DELETED

E1, E2 = 1 << 32, 2 << 32


def record(op, t0, t1, session=1, **more):
    return dict(client="c", session=session, op=op, t0=t0, t1=t1, **more)


def write(t0, t1, value, version, expected=-1, refused=False, zxid=None, session=1):
    return record("set", t0, t1, session, key="k", value=value, expected=expected, version=version, refused=refused,
                  zxid=zxid if zxid is not None else (E1 + (version or 0) if t1 else None))


def read(t0, t1, value, version, zxid=None, session=2, op="read"):
    return record(op, t0, t1, session, key="k", value=value, version=version, zxid=zxid or E1 + version)


class Case(unittest.TestCase):
    checker = None

    def good(self, *history):
        return self.checker.check(list(history))

    def bad(self, *history):
        with self.assertRaises(Wrong):
            self.checker.check(list(history))


class Linearizability(Case):
    checker = linearizability

    def test_operations_side_by_side_come_in_any_order(self):
        self.good(write(0, 5, "a", 2), write(0, 5, "b", 1), read(6, 7, "a", 2))

    def test_stale_read(self):
        self.bad(write(0, 1, "a", 1), write(2, 3, "b", 2), read(4, 5, "a", 1))

    def test_acknowledged_and_lost(self):
        self.bad(write(0, 1, "a", 1), read(2, 3, "", 0))
        self.bad(write(0, 1, "a", 1), write(2, 3, "b", 2), write(4, 5, "c", 2), read(6, 7, "c", 2))

    def test_done_twice(self):
        self.bad(write(0, 1, "a", 1), read(2, 3, "a", 2))

    def test_two_that_expect_the_same_version(self):
        self.good(write(0, 5, "a", 1, 0), write(0, 5, "b", None, 0, refused=True))
        self.bad(write(0, 5, "a", 1, 0), write(0, 5, "b", 1, 0))
        self.bad(write(0, 5, "a", None, 0, refused=True), read(6, 7, "", 0))

    def test_without_an_answer_it_happened_late_or_never_but_once(self):
        lost = write(0, None, "a", None)
        self.good(lost, read(1, 2, "", 0))
        self.good(lost, read(1, 2, "", 0), read(3, 4, "a", 1))
        self.bad(lost, read(1, 2, "", 0), read(3, 4, "a", 1), read(5, 6, "", 0))
        self.bad(lost, read(1, 2, "a", 1), write(3, 4, "b", 2), read(5, 6, "a", 3))
        self.bad(read(1, 2, "a", 1), write(3, None, "a", None))

    def test_unseen_writes_without_an_answer_explain_versions(self):
        lost = [write(n, None, f"x{n}", None) for n in range(20)]
        self.good(*lost, write(30, 31, "a", 12), read(32, 33, "a", 12))
        self.bad(*lost, write(30, 31, "a", 22), read(32, 33, "a", 22))
        self.bad(*lost[:3], write(2.5, 2.6, "a", 5))

    def test_a_read_from_a_leader_that_was_replaced_is_set_aside(self):
        news = write(2, 3, "b", 2, zxid=E2 + 1)
        found = self.good(write(0, 1, "a", 1), news, read(4, 5, "a", 1, zxid=E1 + 1))
        self.assertEqual(found["stale reads set aside"], 1)
        self.bad(write(0, 1, "a", 1), news, read(4, 5, "a", 1, zxid=E2 + 1))


class SessionOrder(Case):
    checker = session_order

    def test_zxids_and_versions_rise(self):
        self.good(write(0, 1, "a", 1), read(2, 3, "a", 1, session=1, op="get"))
        self.bad(write(0, 1, "a", 2), read(2, 3, "", 1, session=1, op="get"))
        self.bad(write(0, 1, "a", 2), read(2, 3, "", 1, session=1, op="get", zxid=E1 + 7))
        self.good(write(0, 1, "a", 2), read(2, 3, "", 1, session=9, op="get"))


def sequence(t0, t1, number, zxid, data):
    return record("sequence", t0, t1, path=f"/q/s-{number:010}" if t1 else None, zxid=zxid, data=data)


def end_of_sequences(*znodes):
    return record("end of sequences", 90, 91, znodes=[[f"/q/s-{number:010}", data, zxid] for number, zxid, data in znodes])


class Sequences(Case):
    checker = sequences

    def test_all_is_well(self):
        self.good(sequence(0, 1, 0, 5, "a"), sequence(2, None, None, None, "b"), sequence(3, 4, 2, 7, "c"),
                  end_of_sequences((0, 5, "a"), (1, 6, "b"), (2, 7, "c")))

    def test_one_number_for_two(self):
        self.bad(sequence(0, 1, 0, 5, "a"), sequence(0, 1, 0, 6, "b"), end_of_sequences((0, 5, "a")))

    def test_falling_zxid_and_falling_number(self):
        self.bad(sequence(0, 9, 0, 6, "a"), sequence(0, 9, 1, 5, "b"), end_of_sequences((0, 6, "a"), (1, 5, "b")))
        self.bad(sequence(0, 1, 1, 6, "a"), sequence(2, 3, 0, 5, "b"), end_of_sequences((0, 5, "b"), (1, 6, "a")))

    def test_lost_doubled_invented(self):
        self.bad(sequence(0, 1, 0, 5, "a"), end_of_sequences())
        self.bad(sequence(0, None, None, None, "a"), end_of_sequences((0, 5, "a"), (1, 6, "a")))
        self.bad(end_of_sequences((0, 5, "a")))

    def test_nobody_looked(self):
        self.bad(sequence(0, 1, 0, 5, "a"))


def hold(t0, t1, fence):
    return record("hold", t0, t1, fence=fence)


def fence(t0, fence, zxid, seen=None):
    return record("fence", t0, t0 + 0.1, fence=fence, zxid=zxid, seen=seen)


class Locks(Case):
    checker = locks

    def test_one_after_the_other(self):
        self.good(hold(0, 1, 5), hold(2, 3, 6), fence(0, 5, 10), fence(2, 6, 11), fence(2.5, 6, 11, seen=6))

    def test_two_holders(self):
        self.bad(hold(0, 2, 5), hold(1, 3, 6))

    def test_the_fence(self):
        self.bad(hold(0, 1, 6), hold(2, 3, 5))
        self.bad(fence(0, 5, 12), fence(2, 6, 11))
        self.bad(fence(0, 6, 11, seen=5))


def ephemeral(t0, t1, session=1, timeout=4.0, path="/e/n-1"):
    return record("ephemeral", t0, t1, session, path=path, timeout=timeout)


def listing(t0, t1, *names, zxid=E1):
    return record("list", t0, t1, 9, names=list(names), zxid=zxid)


class Ephemerals(Case):
    checker = ephemerals

    def test_there_and_gone(self):
        self.good(ephemeral(0, 1), listing(2, 3, "n-1"), record("close", 4, 5), listing(6, 7))
        self.good(ephemeral(0, 1), listing(3, 3.5, "n-1"), listing(5, 6, "n-1"), listing(9, 10))

    def test_there_after_the_close(self):
        self.bad(ephemeral(0, 1), record("close", 2, 3), listing(4, 5, "n-1"))
        self.good(ephemeral(0, 1), record("close", 2, None), listing(4, 5, "n-1"))

    def test_gone_before_its_session(self):
        self.bad(ephemeral(0, 1), listing(2, 3))
        self.bad(ephemeral(0, 1), record("get", 8, 9), listing(6, 7))
        self.good(ephemeral(0, 1), listing(2, 5))

    def test_a_session_that_ended_too_early(self):
        self.bad(record("lost", 0, 3, timeout=4.0))
        self.good(record("lost", 0, 5, timeout=4.0))

    def test_at_the_end(self):
        end = lambda znodes, alive: record("end of ephemerals", 50, 51, 0, znodes=znodes, alive=alive)
        self.good(ephemeral(0, 1), end([["/e/n-1", 1]], [1]))
        self.bad(ephemeral(0, 1), end([["/e/n-1", 1]], []))
        self.bad(ephemeral(0, 1), end([], [1]))

    def test_a_leader_that_was_replaced(self):
        news = record("sequence", 3, 3.5, path="/q/1", zxid=E2 + 1, data="")
        self.bad(ephemeral(0, 1), record("close", 2, 3), news, listing(4, 5, "n-1", zxid=E2 + 1))
        self.good(ephemeral(0, 1), record("close", 2, 3), news, listing(4, 5, "n-1", zxid=E1 + 1))


def change(zxid, kind, path):
    return record("change", 0, 1, kind=kind, path=path, zxid=zxid)


def span(*stream):
    return record("span", 0, 1, stream=[["reply", entry] if isinstance(entry, int) else ["event", *entry] for entry in stream])


class Watches(Case):
    checker = watches
    changes = [change(5, CREATED, "/w/a"), change(7, DELETED, "/w/a")]

    def test_each_once(self):
        self.good(*self.changes, span(1, (CREATED, "/w/a", 5), 6, (DELETED, "/w/a", 7), 8))
        self.good(*self.changes, span(1, (CREATED, "/w/a", -1), 6, (DELETED, "/w/a", -1), 8))
        self.good(*self.changes, span(5, (DELETED, "/w/a", 7), 7), span(1, 4), span(8, 9))

    def test_lost(self):
        self.bad(*self.changes, span(1, (CREATED, "/w/a", 5), 8))

    def test_twice(self):
        self.bad(*self.changes, span(1, (CREATED, "/w/a", 5), (CREATED, "/w/a", 5), (DELETED, "/w/a", 7), 8))

    def test_late(self):
        self.bad(*self.changes, span(1, 6, (CREATED, "/w/a", 5), (DELETED, "/w/a", 7), 8))
        self.bad(*self.changes, span(1, 6, (CREATED, "/w/a", -1), (DELETED, "/w/a", -1), 8))

    def test_early(self):
        self.bad(*self.changes, span(1, (CREATED, "/w/a", 5), (DELETED, "/w/a", 7), 6, 8))
        self.bad(*self.changes, span(1, (CREATED, "/w/a", -1), (DELETED, "/w/a", -1), 6, 8))

    def test_out_of_order(self):
        self.bad(*self.changes, span(1, (DELETED, "/w/a", -1), (CREATED, "/w/a", -1), 8))

    def test_one_time_watches(self):
        watched = lambda armed, events, version: record("watched", 0, 1, armed=armed, events=events, version=version)
        event = [[3, "/fence"]]
        self.good(watched(1, [], 1), watched(1, event, 2))
        self.bad(watched(1, [], 2))
        self.bad(watched(1, event, 1))
        self.bad(watched(2, [], 1))


class Pairs(Case):
    checker = pairs

    def test_halves(self):
        pair = lambda a, b: record("pair", 0, 1, a=a, b=b)
        self.good(pair(["x", 5, 1], ["x", 5, 1]), pair(["x", 5, 1], ["y", 6, 2]))
        self.bad(pair(["y", 6, 2], ["x", 5, 1]))
        self.bad(pair(["x", 5, 1], ["y", 5, 1]))

    def test_the_end(self):
        both = lambda t1, zxid: record("both", 0, t1, value="x", zxid=zxid)
        end = lambda a, b: record("end of pairs", 8, 9, a=a, b=b)
        self.good(both(1, 5), both(None, None), end(["x", 6, 2], ["x", 6, 2]))
        self.bad(both(1, 5), end(["x", 5, 1], ["y", 6, 2]))
        self.bad(both(1, 5), both(1, 6), end(["x", 6, 1], ["x", 6, 1]))
        self.bad(both(1, 5), both(1, 7), end(["x", 6, 2], ["x", 6, 2]))
        self.bad(both(1, 5), end(["x", 6, 2], ["x", 6, 2]))
        self.bad(both(1, 5), both(1, 5), end(["x", 5, 2], ["x", 5, 2]))


if __name__ == "__main__":
    unittest.main()
