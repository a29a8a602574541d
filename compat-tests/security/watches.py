"""Who hears what: an event is told to whoever may read the node that it tells of, at the moment it happens. Who may not
hears nothing, whatever kind of watch it has. The same table holds for Java's server."""

import calls
from calls import ALL, NO_AUTH, NOBODY, OPEN, READ, Caller, acl, digest_of, superuser
from client import CHILDREN_CHANGED, CREATED, DATA_CHANGED, DELETED
from trials import Tally, start

ALICE = "alice:secret"

# -- watches: how they are set on the node and what of it they tell --


class Watch:
    def __init__(self, name, set_, kinds):
        """`set_` gives the request for a node's path; `kinds`: the events that it tells of."""
        self.name, self.set, self.kinds = name, set_, kinds


def on_parent(mode):
    return lambda path: ("addWatch", calls.numbered(path.rsplit("/", 1)[0], mode))


OF_NODE = (CREATED, DATA_CHANGED, DELETED)
EVERY = (*OF_NODE, CHILDREN_CHANGED)
WATCHES = [
    Watch("exists", lambda p: ("exists", calls.watched(p, True)), OF_NODE),
    Watch("data", lambda p: ("getData", calls.watched(p, True)), (DATA_CHANGED, DELETED)),
    Watch("children", lambda p: ("getChildren", calls.watched(p, True)), (CHILDREN_CHANGED, DELETED)),
    Watch("children, by getChildren2", lambda p: ("getChildren2", calls.watched(p, True)), (CHILDREN_CHANGED, DELETED)),
    Watch("persistent", lambda p: ("addWatch", calls.numbered(p, calls.PERSISTENT)), EVERY),
    Watch("persistent recursive", lambda p: ("addWatch", calls.numbered(p, calls.RECURSIVE)), OF_NODE),
    Watch("persistent recursive, above", on_parent(calls.RECURSIVE), OF_NODE),
    Watch("persistent recursive, of the root", lambda _: ("addWatch", calls.numbered("/", calls.RECURSIVE)), OF_NODE),
]
NAMES = {CREATED: "created", DELETED: "deleted", DATA_CHANGED: "data changed", CHILDREN_CHANGED: "children changed"}

# -- who watches: with which list, and whether it hears --

ANYBODY, WITH_PASSWORD, THE_SUPERUSER = (), (ALICE,), ("super:test",)
READERS = [
    ("anybody, with read alone", ANYBODY, acl((READ, "world", "anyone")), True),
    ("anybody, with all but read", ANYBODY, acl((ALL & ~READ, "world", "anyone")), False),
    ("a user, with read alone", WITH_PASSWORD, acl((READ, "digest", digest_of(ALICE))), True),
    ("a user, with all but read", WITH_PASSWORD, acl((ALL & ~READ, "digest", digest_of(ALICE))), False),
    ("a user whom the list does not know", WITH_PASSWORD, NOBODY, False),
    ("an address, with read alone", ANYBODY, acl((READ, "ip", "127.0.0.1")), True),
    ("an address, with all but read", ANYBODY, acl((ALL & ~READ, "ip", "127.0.0.1")), False),
    ("another address", ANYBODY, acl((ALL, "ip", "10.1.2.3")), False),
    ("the superuser", THE_SUPERUSER, NOBODY, True),
]


class Stage:
    def __init__(self, server):
        self.server, self.root, self.count = server, superuser(server.port), 0

    def trial(self, watch, kind, who, users, list_, hears, by_session=False):
        """Watches while everybody may; then the list comes, and then the event."""
        self.count += 1
        parent, path = f"/p{self.count}", f"/p{self.count}/n"
        # Of the nodes around it no list says anything about this one.
        self.root.do("create", calls.create(parent, OPEN if hears else NOBODY))
        writer = Caller(self.server.port, "super:test") if by_session else self.root
        if kind != CREATED:
            writer.do("create", calls.create(path, flags=1 if by_session else 0))
        watcher = Caller(self.server.port, *users)
        error, _ = watcher.ask(*watch.set(path))
        assert error in (0, -101), error
        if kind != CREATED:
            self.root.do("setACL", calls.set_acl(path, list_))
        assert watcher.take_events() == [], "a list that changes is nobody's event"
        if kind == CREATED:
            self.root.do("create", calls.create(path, list_))
        elif kind == DATA_CHANGED:
            self.root.do("setData", calls.set_data(path))
        elif kind == CHILDREN_CHANGED:
            self.root.do("create", calls.create(path + "/below", NOBODY))
        elif by_session:
            writer.do("closeSession")
        else:
            self.root.do("delete", calls.versioned(path))
        expected = [(kind, path)] if hears else []
        events = watcher.take_events()
        if "above" in watch.name or "of the root" in watch.name:
            # What becomes of other nodes is another row.
            events = [(kind, of) for kind, of in events if of == path]
        assert events == expected, f"{who}: {events}, expected {expected}"
        watcher.close()


def told_to_readers(stage, watch, kind):
    for who, users, list_, hears in READERS:
        stage.trial(watch, kind, who, users, list_, hears)
        if kind == DELETED and "children" not in watch.name:
            stage.trial(watch, kind, who + ", by the end of a session", users, list_, hears, by_session=True)


def what_was_not_told_is_used_up(stage):
    """A watch for once is gone by the event that it did not tell; one that lasts tells of the next."""
    for watch, later in ((WATCHES[1], []), (WATCHES[4], [(DATA_CHANGED, "/once/persistent")])):
        path = "/once/" + watch.name
        stage.root.ask("create", calls.create("/once"))
        stage.root.do("create", calls.create(path))
        watcher = Caller(stage.server.port)
        watcher.do(*watch.set(path))
        stage.root.do("setACL", calls.set_acl(path, NOBODY))
        stage.root.do("setData", calls.set_data(path))
        stage.root.do("setACL", calls.set_acl(path, OPEN))
        stage.root.do("setData", calls.set_data(path))
        assert watcher.take_events() == later, watch.name
        watcher.close()


def who_is_refused_watches_nothing(stage):
    """A request that sets a watch and is refused leaves none."""
    stage.root.do("create", calls.create("/refused", NOBODY))
    watcher = Caller(stage.server.port)
    for name in ("exists", "getData", "getChildren", "getChildren2"):
        assert watcher.ask(name, calls.watched("/refused", True))[0] == NO_AUTH, name
    stage.root.do("setACL", calls.set_acl("/refused", OPEN))
    stage.root.do("setData", calls.set_data("/refused"))
    stage.root.do("create", calls.create("/refused/below"))
    assert watcher.take_events() == []
    watcher.close()


def ids_count_as_they_are_at_the_event(stage):
    """Who proves who it is after it set the watch hears."""
    stage.root.do("create", calls.create("/late", acl((READ, "digest", digest_of(ALICE)))))
    watcher = Caller(stage.server.port)
    watcher.do("addWatch", calls.numbered("/late", calls.PERSISTENT))
    stage.root.do("setData", calls.set_data("/late"))
    assert watcher.take_events() == []
    assert watcher.auth("digest", ALICE.encode()) == 0
    stage.root.do("setData", calls.set_data("/late"))
    assert watcher.take_events() == [(DATA_CHANGED, "/late")]
    watcher.close()


def catching_up_tells_no_more_than_before(stage):
    """Watches that a client brings along after it reconnected are told, as by Java, that a node changed, which anybody
    who asks for it by name learns as well; the node's data stay what they are: for readers."""
    stage.root.do("create", calls.create("/again", NOBODY))
    watcher = Caller(stage.server.port)
    watcher.do("setWatches", calls.set_watches(3, "/again"))
    assert watcher.take_events() == [(DATA_CHANGED, "/again")]
    assert watcher.ask("getData", calls.watched("/again"))[0] == NO_AUTH
    # What lasts is set without a word, and then tells readers alone.
    body = calls.set_watches(3) + calls.strings(["/again"]) + calls.strings(["/"])
    watcher.do("setWatches2", body)
    assert watcher.take_events() == []
    stage.root.do("setData", calls.set_data("/again"))
    stage.root.do("create", calls.create("/again/below", NOBODY))
    stage.root.do("delete", calls.versioned("/again/below"))
    assert watcher.take_events() == []
    watcher.close()


def multi_tells_each_part_by_its_own_list(stage):
    for path, list_ in (("/open", OPEN), ("/closed", NOBODY)):
        stage.root.do("create", calls.create(path, list_))
    watcher = Caller(stage.server.port)
    watcher.do("addWatch", calls.numbered("/", calls.RECURSIVE))
    parts = [("setData", calls.set_data(path)) for path in ("/closed", "/open")]
    parts += [("create", calls.create("/closed/a")), ("create", calls.create("/open/a", NOBODY))]
    stage.root.do("multi", calls.multi(*parts))
    assert watcher.take_events() == [(DATA_CHANGED, "/open"), (CREATED, "/closed/a")]
    watcher.close()


def main():
    tally = Tally()
    with start("watches") as server:
        stage = Stage(server)
        for watch in WATCHES:
            for kind in watch.kinds:
                tally.run(f"{NAMES[kind]}, watched by {watch.name}", told_to_readers, stage, watch, kind)
        for check in (what_was_not_told_is_used_up, who_is_refused_watches_nothing, ids_count_as_they_are_at_the_event,
                      catching_up_tells_no_more_than_before, multi_tells_each_part_by_its_own_list):
            tally.run(check.__name__, check, stage)
    tally.conclude()


if __name__ == "__main__":
    main()
