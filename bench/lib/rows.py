"""The works of the comparison and what each figure has to reach. Knows neither servers nor output formats."""

from statistics import median

JAVA, FERRO = "java", "ferrokeeper"


class Target:
    """One line of the table: a figure of both servers, a ratio or a value, and its bound."""

    def __init__(self, label, unit, figure, at_least=None, at_most=None, against=JAVA, digits=2):
        self.label, self.unit, self.figure, self.digits = label, unit, figure, digits
        self.at_least, self.at_most, self.against = at_least, at_most, against

    def wanted(self):
        times = "x Java" if self.against == JAVA else "x the floor" if self.against == "floor" else self.unit
        if self.at_least is not None:
            return f"at least {self.at_least:g} {times}"
        bound = self.at_most
        if self.against == JAVA and bound < 1:
            return f"at most 1/{1 / bound:.3g} of Java"
        return f"at most {bound:g} {times}"

    def met(self, value):
        if value is None:
            return None
        return value >= self.at_least if self.at_least is not None else value <= self.at_most


def per_second(at_least):
    return Target("throughput", "/s", "per_second", at_least=at_least, digits=0)


def cpu(parts):
    return Target("server CPU", "us/op", "cpu_us_per_op", at_most=1 / parts)


def latency(figure, label, parts):
    return Target(label, "us", figure, at_most=1 / parts, digits=1)


SPREAD = Target("p99.9 over p50", "times", lambda r: r["p99_9_us"] / r["p50_us"], at_most=10, against=None, digits=1)


class Row:
    """`floor`, `bare`: what the machine allows is measured as well, by an fdatasync and an echo, or by the same load at a
    server that keeps nothing."""

    def __init__(self, name, title, args, targets, floor=False, bare=False):
        self.name, self.title, self.args, self.targets = name, title, args, targets
        self.floor, self.bare = floor, bare


def load(kind, connections, depth, *more):
    return [kind, "--connections", str(connections), "--depth", str(depth), *more]


LOAD_ROWS = [
    Row("get-50x20", "get 100 B, 50 x 20", load("get", 50, 20), [per_second(8), cpu(8)], bare=True),
    Row("get-1x1", "get 100 B, 1 x 1", load("get", 1, 1), [latency("p50_us", "p50", 2.5), cpu(4)], bare=True),
    Row("get-1x1-poll", "get 100 B, 1 x 1, the generator never sleeps", load("get", 1, 1, "--poll"),
        [latency("p50_us", "p50", 2.5), cpu(4)]),
    Row("get-400x4", "get 100 B, 400 x 4", load("get", 400, 4), [per_second(5), cpu(5)], bare=True),
    Row("children-50x4", "getChildren of 100, 50 x 4", load("children", 50, 4), [per_second(4), cpu(5)]),
    Row("set-50x20", "set 100 B, 50 x 20", load("set", 50, 20),
        [per_second(4), cpu(4), latency("p99_9_us", "p99.9", 4)]),
    Row("create-50x20", "create 100 B, 50 x 20", load("create", 50, 20),
        [per_second(4), cpu(4), latency("p99_9_us", "p99.9", 4)]),
    Row("set-1x1", "set 100 B, 1 x 1", load("set", 1, 1),
        [Target("p50", "us", "p50_us", at_most=1.25, against="floor", digits=1), cpu(2)], floor=True),
    Row("mixed-90", "90 % get, 10 % set, 50 x 20", load("mixed", 50, 20, "--reads", "90"),
        [per_second(5), cpu(5), SPREAD]),
    Row("mixed-50", "50 % get, 50 % set, 50 x 20", load("mixed", 50, 20, "--reads", "50"),
        [per_second(5), cpu(5), SPREAD]),
    Row("multi-20x8", "multi of 10 sets, 20 x 8", load("multi", 20, 8, "--batch", "10"), [per_second(4), cpu(4)]),
    Row("watch-500", "persistent watch, 500 sessions, 4 changes under way", load("watch", 500, 4),
        [per_second(6), cpu(6)], bare=True),
    Row("watch-500x20", "persistent watch, 500 sessions, 20 changes under way", load("watch", 500, 20),
        [per_second(6), cpu(6)], bare=True),
    Row("lock-20", "lock recipe, 20 contenders", load("lock", 20, 1), [per_second(2), cpu(4)]),
    Row("churn-50", "session open + close, 50 at a time", load("churn", 50, 1), [per_second(4), cpu(4)], bare=True),
]


def absolute(label, unit, figure, at_most, digits=1):
    return Target(label, unit, figure, at_most=at_most, against=None, digits=digits)


# These start servers of their own; `compare` knows how.
SPECIAL_ROWS = [
    Row("empty", "empty server", None, [absolute("RSS", "MB", "rss_mb", 15)]),
    Row("idle", "10,000 idle sessions", None,
        [absolute("RSS", "MB", "rss_mb", 100), absolute("CPU of one core", "%", "cpu_percent", 2)]),
    Row("fill-1m", "1 million znodes", None, [
        absolute("RSS a znode", "B", "rss_per_znode", 300, digits=0),
        Target("disk", "MB", "disk_mb", at_most=1 / 3, digits=0),
        Target("restart until it serves", "s", "restart_s", at_most=1 / 5),
    ]),
    Row("fill-5m", "5 million znodes", None, [
        absolute("RSS a znode", "B", "rss_per_znode", 300, digits=0),
        Target("set rate against 10 thousand znodes", "times", "rate_kept", at_least=0.9, against=None),
    ]),
]
def worst_second(result):
    """The least that was done in a second, against the average. What is left of the last second does not count."""
    whole = result["each_second"][:int(result["seconds"])]
    return min(whole) / result["per_second"]


# Three servers; connections are spread over all of them.
ENSEMBLE_LOAD_ROWS = [
    Row("set-50x20", "set 100 B, 50 x 20", load("set", 50, 20),
        [per_second(4), cpu(4), latency("p99_9_us", "p99.9", 5)]),
    Row("create-50x20", "create 100 B, 50 x 20", load("create", 50, 20),
        [per_second(4), cpu(4), latency("p99_9_us", "p99.9", 5)]),
    Row("get-50x20", "get 100 B, 50 x 20", load("get", 50, 20), [per_second(8), cpu(8)]),
    Row("mixed-90", "90 % get, 10 % set, 50 x 20", load("mixed", 50, 20, "--reads", "90"), [per_second(5), cpu(5)]),
    Row("mixed-50", "50 % get, 50 % set, 50 x 20", load("mixed", 50, 20, "--reads", "50"), [per_second(5), cpu(5)]),
    Row("set-1x1", "set 100 B, 1 x 1, at a follower", load("set", 1, 1),
        [latency("p50_us", "p50", 1 / 0.6), latency("p99_9_us", "p99.9", 2)]),
]
ENSEMBLE_SPECIAL_ROWS = [
    Row("failover", "leader SIGKILLed to first acknowledged write", None,
        [Target("median", "ms", "ms", at_most=1 / 3, digits=0)]),
    Row("join", "a wiped follower joins, 1 million znodes", None,
        [Target("until it serves", "s", "join_s", at_most=1 / 3)]),
    Row("steady", "steady writes, checkpoints, a wiped follower joins", None,
        [SPREAD, Target("worst second over average", "times", worst_second, at_least=0.4, against=None)]),
]


class Suite:
    """What one command measures, in the order in which it does."""

    def __init__(self, name, title, setting, load_rows, special_rows, full_only=frozenset()):
        self.name, self.title, self.setting = name, title, setting
        self.load_rows, self.special_rows, self.full_only = load_rows, special_rows, full_only
        self.rows = load_rows + special_rows


STANDALONE = Suite(
    "standalone", "standalone",
    "Both servers and the load generator share this machine, fsync is on, data is on the same disk. CPU time and RSS are "
    "the server's own, read from the operating system. Restart: SIGTERM, then the time from exec to the first answer, "
    "file cache warm.",
    LOAD_ROWS, SPECIAL_ROWS, {"fill-5m"})
ENSEMBLE = Suite(
    "ensemble", "ensembles of three",
    "All three servers and the load generator share this machine, fsync is on, data is on the same disk. Connections are "
    "spread over the three, CPU time is their sum, read from the operating system. Failover: default ticks, from the "
    "SIGKILL to the acknowledgement of a write sent after it. Join: from exec on an empty directory to the first answer.",
    ENSEMBLE_LOAD_ROWS, ENSEMBLE_SPECIAL_ROWS)


def figure(results, which):
    """The median over the rounds, or None when a round is missing."""
    if not results:
        return None
    values = [which(r) if callable(which) else r.get(which) for r in results]
    return None if any(v is None for v in values) else median(values)


def judge(target, row_results):
    """(Java's figure, Ferrokeeper's figure, what is compared with the bound, met or None)."""
    java = figure(row_results.get(JAVA), target.figure)
    ferro = figure(row_results.get(FERRO), target.figure)
    base = java if target.against == JAVA else figure(row_results.get("floor"), "sum_of_p50_us")
    if target.against is None:
        value = ferro
    else:
        value = ferro / base if ferro is not None and base else None
    return java, ferro, value, target.met(value)
