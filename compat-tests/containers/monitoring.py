"""An operator's compose file of Java servers, whose Prometheus, dashboard and alert rules stay while the image's name is
changed. Grafana is in no package that tests could install: its panels' queries go to a real Prometheus, as it sends them."""

import json
import math
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from engine import IMAGE, PATIENCE, WORK, client, docker, run, until

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
from ports import free_ports  # noqa: E402

MEMBERS = ("zoo1", "zoo2", "zoo3")
RULES = HERE / "alerts.yml"
TIMEOUT_S = 10
SCRAPES = 8

# Alerts that the test brings about; the others need a tree of a million nodes, or a sick machine.
BY_CLIENTS = {"many watches", "many ephemerals", "many connections", "very many connections", "many open files",
              "connections rejected"}
BY_A_DEAD_LEADER = {"server down", "member missing", "follower missing", "election", "time without leader"}
WITHOUT_QUORUM = {"no leader"}
# These tell of the machine: a busy disk may bring them about, whatever the server.
OF_THE_MACHINE = {"slow fsync", "slow fsync over two minutes", "slow answers", "very slow answers", "requests pile up"}

# Queries that have an answer from Java alone, by the names in them, and why.
WITHOUT_DATA = {
    "startup_snap_load_time": "a median of nothing: no snapshot is loaded at a start",
    "snapshottime_sum": "a mean of nothing, until the first large change is put on disk",
    "pending_session_queue_size": "a median of what there is not: no queue between a session and the commit",
}
# Queries whose answer from Java is more than zero, while it may be zero here, and why.
ZERO = {
    "no such stage, queue or cache": """
        response_packet_cache_misses response_packet_cache_hits response_packet_get_children_cache_misses
        response_packet_get_children_cache_hits startup_snap_load_time startup_snap_load_time_count
        startup_snap_load_time_sum prep_process_time_sum prep_processor_queue_time_ms_sum prep_processor_queue_size_sum
        outstanding_changes_queued outstanding_changes_removed close_session_prep_time_sum sync_process_time_sum
        sync_processor_queue_flush_time_ms_sum sync_processor_queue_size_sum
        read_commitproc_time_ms_sum write_commitproc_time_ms_sum write_commit_proc_req_queued_sum
        read_commit_proc_req_queued_sum commit_commit_proc_req_queued_sum requests_in_session_queue_sum
        read_commit_proc_issued_sum
        concurrent_request_processing_in_commit_processor_sum
        time_waiting_empty_pool_in_commit_processor_read_ms_sum pending_session_queue_size pending_session_queue_size_sum
        local_write_committed_time_ms_sum server_write_committed_time_ms_sum
        reads_after_write_in_session_queue_sum session_queues_drained_sum reads_issued_from_session_queue_sum
        write_final_proc_time_ms_sum read_final_proc_time_ms_sum""",
    "no JVM": "jvm_classes_loaded jvm_pause_time_ms_sum jvm_gc_collection_seconds_sum",
    "not measured": "write_per_namespace_sum read_per_namespace_sum",
    "in whole milliseconds, of which there may be none": """
        election_time election_time_sum follower_sync_time_sum dbinittime dbinittime_sum fsynctime fsynctime_sum
        snapshottime_count snapshottime_sum readlatency_sum updatelatency_sum max_latency avg_latency
        leader_unavailable_time_sum commit_process_time_sum write_batch_time_in_commit_processor_sum proposal_latency_sum
        quorum_ack_latency_sum propagation_latency_sum commit_propagation_latency_sum proposal_ack_creation_latency""",
    "a moment's": "learner_handler_qp_size_sum outstanding_requests num_alive_connections watch_count",
    "how each server came by its tree": "snap_count diff_count looking_count startup_txns_loaded startup_txns_loaded_sum",
}


class Existing:
    """The operator's directory: a compose file, whose image is one or the other."""

    def __init__(self):
        ports = free_ports(2 * len(MEMBERS))
        self.ports = dict(zip([(name, port) for name in MEMBERS for port in (2181, 7000)], ports))
        self.file = WORK / f"existing-{ports[0]}.yaml"
        self.project = f"fk-existing-{ports[0]}"
        published = iter(ports)
        self.text = re.sub(r"127\.0\.0\.1:\d+:", lambda _: f"127.0.0.1:{next(published)}:", (HERE / "existing.yaml").read_text())

    def compose(self, *arguments, check=True):
        return run("docker-compose", "--project-name", self.project, "--file", str(self.file), *arguments, check=check)

    def up(self, image):
        self.file.write_text(self.text.replace("image: zookeeper", f"image: {image}"))
        self.compose("up", "--detach")
        until(lambda: sorted(self.modes().values()) == ["follower", "follower", "leader"], f"{image} serves")

    def down(self):
        self.compose("down", "--volumes", "--timeout", "5", check=False)

    def container(self, name):
        return self.compose("ps", "--quiet", name).stdout.strip()

    def health(self, name):
        return docker("inspect", "--format", "{{.State.Health.Status}}", self.container(name))

    def hosts(self):
        return ",".join(self.host(name) for name in MEMBERS)

    def host(self, name):
        return f"127.0.0.1:{self.ports[name, 2181]}"

    def modes(self):
        found = {name: re.search(r"^Mode: (\w+)$", self.word(name, "srvr"), re.MULTILINE) for name in MEMBERS}
        return {name: mode[1] for name, mode in found.items() if mode}

    def word(self, name, word):
        try:
            with socket.create_connection(("127.0.0.1", self.ports[name, 2181]), TIMEOUT_S) as connection:
                connection.sendall(word.encode())
                return connection.makefile("rb").read().decode()
        except OSError:
            return ""

    def exposition(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name, 7000]}/metrics", timeout=TIMEOUT_S) as answer:
            return answer.read().decode()

    def expositions(self):
        """Of the leader and of a follower: each part has figures of its own, and anybody may lead."""
        return {mode: self.exposition(name) for name, mode in self.modes().items()}


class Prometheus:
    """Debian's, which scrapes the members each second and judges the rules, with minutes of patience made seconds."""

    def __init__(self, existing, name):
        directory = WORK / f"prometheus-{name}"
        directory.mkdir()
        (directory / "rules.yml").write_text(re.sub(r"for: (\d+)m", r"for: \1s", RULES.read_text()))
        targets = [{"targets": [f"127.0.0.1:{existing.ports[name, 7000]}"], "labels": {"instance": f"{name}:7000"}}
                   for name in MEMBERS]
        (directory / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "zookeeper", "static_configs": targets}],
        }))
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}/api/v1/"
        with open(directory / "log", "w") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
                 f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        self.log = directory / "log"

    def __enter__(self):
        until(lambda: self.scrapes() >= 1, f"Prometheus collects: {self.log.read_text()[-2000:]}")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def get(self, what, **parameters):
        try:
            with urllib.request.urlopen(f"{self.url}{what}?{urllib.parse.urlencode(parameters)}", timeout=TIMEOUT_S) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{parameters}: {refused.read().decode()}") from refused

    def query(self, expression):
        """The label sets that have a number, and the numbers."""
        result = self.get("query", query=expression)["result"]
        values = [(sample["metric"], float(sample["value"][1])) for sample in result]
        return [(labels, value) for labels, value in values if not math.isnan(value)]

    def scrapes(self):
        """How often every member has been seen up."""
        try:
            seen = self.query("sum_over_time(up[10m])")
        except OSError:
            return 0
        return min(value for _, value in seen) if len(seen) == len(MEMBERS) else 0

    def await_scrape(self):
        """Until every member was scraped after now: the next scrape may have begun already, the one after it has not."""
        before = self.scrapes()
        until(lambda: self.scrapes() >= before + 2, "every member is scraped")

    def fired(self):
        seen = self.query('max_over_time(ALERTS{alertstate="firing"}[10m])')
        return {labels["alertname"] for labels, _ in seen} - OF_THE_MACHINE

    def data(self, expressions):
        """For each expression who has data: the instances, or a dash where a result is about all."""
        found = {}
        for expression in expressions:
            found[expression] = {}
            for labels, value in self.query(expression):
                found[expression].setdefault(labels.get("instance", "-"), []).append(value)
        return found


def panels():
    """The dashboard's queries, with the variables as Grafana fills them in."""
    lines = [line for line in (HERE / "dashboard.txt").read_text().splitlines() if line and not line.startswith("#")]
    instances = "|".join(f"{name}:7000" for name in MEMBERS)
    return [line.replace("$job", "zookeeper").replace("$instance", instances) for line in lines]


def watched(prometheus):
    """What the alert rules look at, each without its limit; not of the one that waits for something to be absent."""
    groups = prometheus.get("rules")["groups"]
    rules = [rule["query"] for group in groups for rule in group["rules"]]
    assert len(rules) == RULES.read_text().count("expr:")
    return [re.sub(r"\s*(==|!=|>|<)[^()]*$", "", rule) for rule in rules if "unless" not in rule]


def begin_work(existing, name):
    """Something of everything that clients do, through one member. Some nodes are left, one of them ephemeral."""
    zk = client(existing.host(name))
    top = f"/work-{name}"
    zk.exists(top, watch=lambda event: None)
    zk.ensure_path(top)
    zk.get(top, watch=lambda event: None)
    zk.set(top, b"x")
    for i in range(3):
        zk.get_children(top, watch=lambda event: None)
        zk.create(f"{top}/{i}", b"value", ephemeral=i == 0)
        for _ in range(3):
            zk.get(f"{top}/{i}")
            zk.get_children(top)
    transaction = zk.transaction()
    transaction.set_data(f"{top}/1", b"y")
    transaction.delete(f"{top}/2")
    assert True in transaction.commit()
    zk.get(f"{top}/1", watch=lambda event: None)
    zk.sync(top)
    return zk


def end_work(existing, name, zk):
    """All that was left goes, with its session or by another one."""
    zk.delete(f"/work-{name}/1")
    zk.stop()
    zk.close()
    zk = client(existing.host(name))
    zk.delete(f"/work-{name}", recursive=True)
    zk.stop()
    zk.close()


def observe(existing, prometheus):
    """Until there are figures to compare, under a little load. Scrapes see the nodes of the work, and see them gone."""
    while prometheus.scrapes() < SCRAPES:
        begun = [(name, begin_work(existing, name)) for name in MEMBERS]
        prometheus.await_scrape()
        for name, zk in begun:
            end_work(existing, name, zk)
        prometheus.await_scrape()
    return prometheus.data(panels() + watched(prometheus))


def compare(java, ours):
    """Every query that has an answer from Java's servers has one from as many of these; zero is not more than zero."""
    zeros = {name for listed in ZERO.values() for name in listed.split()}
    lacking, flat = [], []
    for query in java:
        named = set(re.findall("[a-z_]{4,}", query))
        if len(ours[query]) < len(java[query]) or not ours[query]:
            lacking += [query] if not named & WITHOUT_DATA.keys() else []
        elif any(sum(java[query].values(), [])) and not any(sum(ours[query].values(), [])):
            flat += [query] if not named & zeros else []
    answered = sum(bool(numbers) for numbers in ours.values())
    more = sum(any(sum(numbers.values(), [])) for numbers in ours.values())
    print(f"{len(ours)} queries, {answered} answered, {more} with more than zero; "
          f"of Java's {sum(map(bool, java.values()))} and {sum(any(sum(n.values(), [])) for n in java.values())}")
    assert not lacking and not flat, f"no data: {lacking}, only zeros: {flat}"


def names(text):
    return {re.split("[ {]", line)[0] for line in text.splitlines() if not line.startswith("#")}


def complaints(text):
    """What promtool says of names, which are ZooKeeper's; a text that it cannot read is an error."""
    done = run("promtool", "check", "metrics", input=text, check=False)
    assert done.returncode in (0, 3), done.stderr
    return set(done.stderr.splitlines())


def from_java_with_its_dashboard_and_alerts():
    run("promtool", "check", "rules", str(RULES))
    existing = Existing()
    java = f"{IMAGE}-java"
    run(str(HERE / "java-image"), java, os.environ["CLASSPATH_JAVA_MONITORED"])
    try:
        existing.up(java)
        zk = client(existing.hosts())
        zk.create("/kept", b"value")
        zk.create("/kept/mine", ephemeral=True)
        before = zk.get("/kept")
        with Prometheus(existing, "java") as prometheus:
            java_has = observe(existing, prometheus)
        java_expositions = existing.expositions()

        existing.up(IMAGE)
        assert zk.retry(zk.get, "/kept") == before
        assert zk.exists("/kept/mine"), "the session outlived the change"
        until(lambda: [existing.health(name) for name in MEMBERS] == ["healthy"] * 3, "the health checks pass")
        with Prometheus(existing, "ferrokeeper") as prometheus:
            has = observe(existing, prometheus)
            assert not prometheus.fired(), f"alerts of a healthy ensemble: {prometheus.fired()}"
            compare(java_has, has)
            for mode, text in existing.expositions().items():
                lacking = names(java_expositions[mode]) - names(text)
                assert {one for one in lacking if not re.match("jvm_(info|buffer_pool)", one)} == set(), lacking
                theirs = complaints(java_expositions[mode])
                assert {one for one in complaints(text) - theirs if one.startswith("ferrokeeper")} == set()
            alarms(existing, prometheus)
        zk.stop()
    finally:
        existing.down()
        docker("image", "rm", "--force", java, check=False)


def alarms(existing, prometheus):
    """What can be brought about fires, and nothing else."""
    expected = set()

    def fire(more):
        expected.update(more)
        try:
            until(lambda: expected <= prometheus.fired(), "")
        except AssertionError:
            raise AssertionError(f"silent: {expected - prometheus.fired()}") from None

    one = client(existing.host("zoo1"))
    answers = [one.exists_async(f"/never/{i}", watch=lambda event: None) for i in range(10001)]
    answers += [one.create_async(f"/mine-{i}", ephemeral=True) for i in range(101)]
    for answer in answers:
        answer.get(timeout=PATIENCE)
    held = [socket.create_connection(("127.0.0.1", existing.ports[name, 2181]), TIMEOUT_S)
            for name, count in (("zoo1", 70), ("zoo3", 310)) for _ in range(count)]
    fire(BY_CLIENTS)
    for connection in held:
        connection.close()
    one.stop()
    one.close()
    leader = next(name for name, mode in existing.modes().items() if mode == "leader")
    docker("stop", existing.container(leader))
    fire(BY_A_DEAD_LEADER)
    docker("stop", existing.container(next(name for name in MEMBERS if name != leader)))
    fire(WITHOUT_QUORUM)
    assert prometheus.fired() == expected, prometheus.fired() - expected
