"""The AdminServer against Java's: admin.py DIR [TEST ...]. Each test is a function that may fail."""

import http.client
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from ports import free_ports  # noqa: E402
from servers import GIVE_UP_S, Server, client, trusting  # noqa: E402

DIR, ONLY = sys.argv[1], sys.argv[2:]
SET_ACL = 7
# A session that outlives the tests.
LONG_MS = 3_600_000
ROOT = {"authorization": "digest root:secret"}
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def directory(name):
    return os.path.join(DIR, name)


def fill(server):
    """A session with an ephemeral and with watches; the same on every server."""
    session = server.session(timeout_ms=LONG_MS)
    session.ensure("/app")
    session.ensure("/app/n", b"data")
    session.create("/app/e", b"x", flags=1)
    session.get("/app", watch=True)
    session.exists("/nope", watch=True)
    session.children("/app", watch=True)
    return session


def digest_acl(user, password, world_reads=False):
    import base64
    import hashlib

    secret = base64.b64encode(hashlib.sha1(f"{user}:{password}".encode()).digest()).decode()
    readers = struct.pack(">i", 1) + client.text("world") + client.text("anyone") if world_reads else b""
    owner = struct.pack(">i", 31) + client.text("digest") + client.text(f"{user}:{secret}")
    return struct.pack(">i", 2 if world_reads else 1) + readers + owner


def set_acl(session, path, acl):
    error, _ = session.write(SET_ACL, client.text(path) + acl + struct.pack(">i", -1))
    assert error == 0, error


# -- the same answers --

# What differs by its nature; only that it is there, and of what type, is compared.
CONSTANT = {"command", "error", "read_only", "server_state", "is_read_only", "num_connections", "num_paths", "num_total_watches",
            "tick_time", "max_client_cnxns", "min_session_timeout", "max_session_timeout", "server_id",
            "client_port_listen_backlog", "tracemask", "voting", "zabstate", "synced_observers", "node_count",
            "last_operation", "session_timeout", "interest_ops", "last_cxid", "num_alive_client_connections", "provider_null",
            "fsync_threshold_exceed_count", "auth_failed_count"}
# Java writes the members of an object's class in no order that it promises.
UNORDERED = {"server_stats", "client_response", "client_response_stats", "proposal_stats"}


def shape(value, name=None):
    """Names, their order, and types; and values where they have to be equal."""
    if isinstance(value, dict):
        items = [(shape_of_name(key), shape(member, key)) for key, member in value.items()]
        # Of times at which nothing expires Java keeps an empty list for a while.
        items = [item for item in items if name != "expiry_time_to_session_ids" or item[1] != ["list"]]
        return sorted(items, key=repr) if name in UNORDERED else items
    if isinstance(value, list):
        return ["list"] + [shape(member, name) for member in value]
    if name in CONSTANT:
        return value
    if isinstance(value, str) and re.fullmatch(r"127\.0\.0\.1:\d+", value):
        return "address"
    return type(value).__name__


def shape_of_name(name):
    return "number" if name.lstrip("-").isdigit() else name


COMMANDS = """configuration conf config connection_stat_reset connections cons dirs dump get_trace_mask gtmk is_read_only isro
    last_snapshot lsnp leader lead observer_connection_stat_reset orst observers obsr ruok server_stats srvr set_trace_mask
    set_trace_mask?traceMask=x set_trace_mask?traceMask=300&traceMask=5 stmk?traceMask=306 stats stat voting_view watch_summary
    wchs watches wchc watches_by_path wchp zabstate hash initial_configuration icfg nonsense""".split()


@test
def commands_answer_as_javas(java, fk):
    for name in COMMANDS:
        theirs, ours = java.get("/commands/" + name), fk.get("/commands/" + name)
        assert ours.status == theirs.status, (name, ours.status, theirs.status)
        assert ours.headers["content-type"] == theirs.headers["content-type"], name
        expected, found = shape(theirs.json()), shape(ours.json())
        assert found == expected, f"{name}\nexpected {expected}\nfound    {found}"


@test
def answers_are_printed_as_javas(java, fk):
    def print_of(server, name):
        # A directory's name may have digits, too.
        text = server.get("/commands/" + name).body.decode().replace(server.directory, "DIR")
        return re.sub(r"\d+", "0", text)

    for name in ["ruok", "watches", "watches_by_path", "connections", "configuration", "leader", "voting_view", "watch_summary", "zabstate"]:
        theirs, ours = print_of(java, name), print_of(fk, name)
        assert ours == theirs, f"{name}\n{theirs}\n{ours}"
    assert fk.get("/commands").body == java.get("/commands").body
    assert fk.get("/commands/").body == java.get("/commands/").body


@test
def environment_properties_and_monitor_have_javas_names(java, fk):
    theirs, ours = java.command("env"), fk.command("env")
    assert [name for name in theirs if name not in ours] == []
    theirs, ours = java.command("sysp"), fk.command("sysp")
    mine = [name for name in theirs if name.startswith("zookeeper.") and name not in ours]
    assert mine == [], mine
    theirs, ours = java.command("mntr"), fk.command("mntr")
    lacking = [name for name in theirs if name not in ours]
    # Summaries by namespace begin with the first that is recorded.
    lacking = [name for name in lacking if not name.endswith("_per_namespace")]
    assert lacking == [], lacking
    for name in set(theirs) & set(ours):
        assert type(theirs[name]) is type(ours[name]), (name, theirs[name], ours[name])
    assert list(ours)[:2] == ["version", "server_state"]


@test
def statuses_are_javas(java, fk):
    requests = [
        ("GET", "/commands/ruok", None, {}),
        ("HEAD", "/commands/ruok", None, {}),
        ("PUT", "/commands/ruok", b"x", {}),
        ("DELETE", "/commands/ruok", None, {}),
        ("TRACE", "/commands/ruok", None, {}),
        ("GET", "/elsewhere", None, {}),
        ("GET", "/commandsx", None, {}),
        ("POST", "/commands", None, {}),
        ("POST", "/commands/nonsense", b"", {}),
        ("GET", "/commands/snapshot", None, {}),
        ("GET", "/commands/snapshot", None, {"Authorization": ""}),
        ("GET", "/commands/snapshot", None, {"Authorization": "nope a:b"}),
        ("GET", "/commands/snapshot", None, {"Authorization": "digest"}),
        ("GET", "/commands/snapshot", None, {"Authorization": "digest a b"}),
        ("GET", "/commands/snapshot", None, {"Authorization": "x509"}),
        ("GET", "/commands/snapshot", None, {"Authorization": "digest a:b"}),
        ("GET", "/commands/snap?streaming=false", None, {"Authorization": "ip"}),
        ("GET", "/commands/restore", None, {}),
        ("POST", "/commands/restore", b"x", {}),
        ("POST", "/commands/restore", b"junk", {"Authorization": "digest a:b"}),
        ("POST", "/commands/rest", None, {"Authorization": "digest a:b"}),
    ]
    for method, path, body, headers in requests:
        time.sleep(0.01)  # the interval of the rate limit
        theirs, ours = java.request(method, path, body, headers), fk.request(method, path, body, headers)
        assert ours.status == theirs.status, (method, path, headers, ours.status, theirs.status)
        if theirs.headers["content-type"] == "application/json" and method != "HEAD":
            assert ours.json() == theirs.json(), (method, path, ours.body, theirs.body)
    # Java fails with a page about its own error.
    assert java.request("POST", "/commands/ruok").status == 500
    answer = fk.request("POST", "/commands/ruok")
    assert (answer.status, answer.headers["allow"]) == (405, "GET"), answer.status
    assert fk.request("GET", "/commands/restore", None, {"Authorization": "ip"}).status == 405


@test
def curl_gets_what_it_asks_for(java, fk):
    for server in (java, fk):
        url = f"http://127.0.0.1:{server.admin}/commands/ruok"
        text = subprocess.run(["curl", "-sS", "--fail", url], check=True, capture_output=True, text=True).stdout
        assert text == '{\n  "command" : "ruok",\n  "error" : null\n}', text


@test
def probes_tell_of_life_and_readiness(java, fk):
    for path, word in (("/live", b"live\n"), ("/ready", b"ready\n")):
        answer = fk.get(path)
        assert (answer.status, answer.body) == (200, word)
        assert fk.request("POST", path).status == 405


@test
def one_connection_takes_many_requests(java, fk):
    connection = http.client.HTTPConnection("127.0.0.1", fk.admin, timeout=GIVE_UP_S)
    for _ in range(50):
        connection.request("GET", "/commands/mntr")
        answer = connection.getresponse()
        assert answer.status == 200 and json.loads(answer.read())["error"] is None
    connection.close()


@test
def passwords_are_hidden(java, fk):
    for name in ("sysp", "icfg"):
        text = fk.get("/commands/" + name).body.decode()
        assert "hunter2" not in text, name
        assert "admin.rateLimiterIntervalInMS" in text, name


# -- snapshot and restore --


def pairs():
    return [("java", "ferrokeeper"), ("ferrokeeper", "java"), ("ferrokeeper", "ferrokeeper")]


@test
def a_snapshot_of_one_is_restored_into_another(java, fk):
    for source_kind, target_kind in pairs():
        name = f"restore-{source_kind}-{target_kind}"
        with Server(source_kind, directory(name + "-a")) as source, Server(target_kind, directory(name + "-b")) as target:
            session = source.session()
            for at in range(300):
                session.ensure(f"/n{at}", os.urandom(at))
            set_acl(session, "/n7", digest_acl("u", "p", world_reads=True))
            session.close()
            other = target.session()
            other.ensure("/gone")
            other.close()
            before = tree_of(source)
            taken = source.get("/commands/snapshot?streaming=true", authorization="digest a:b")
            assert taken.status == 200 and taken.headers["content-type"] == "application/octet-stream"
            assert int(taken.headers["snapshot_size"]) == len(taken.body)
            zxid = int(taken.headers["last_zxid"], 16)
            restored = target.request("POST", "/commands/restore", taken.body, {"Authorization": "digest a:b", "Content-Type": "application/octet-stream"})
            assert restored.status == 200, (restored.status, target.log()[-2000:])
            assert restored.json()["last_zxid"] >= zxid > 300, (restored.json(), zxid)
            after = tree_of(target)
            assert after == before, (name, set(before) ^ set(after))
            assert "/gone" not in after
            # It goes on from there.
            session = target.session()
            session.ensure("/later", b"1")
            session.close()
            if target_kind == "ferrokeeper":
                assert target.stop() == 0
                target.start()
                again = tree_of(target)
                assert again.pop("/later")[0] == b"1"
                assert again == before, "after a restart"
                assert "digest_mismatches" not in target.log()


def tree_of(server):
    """Data and stat of every node but the root, whose numbers a session of a test may change."""
    session = server.session()
    found, paths = {}, ["/"]
    while paths:
        path = paths.pop()
        found[path] = session.get(path)
        paths += [path.rstrip("/") + "/" + name for name in session.children(path) if (path, name) != ("/", "zookeeper")]
    session.close()
    del found["/"]
    return found


@test
def who_is_not_allowed_gets_nothing(java, fk):
    for kind in ("java", "ferrokeeper"):
        with Server(kind, directory("acl-" + kind)) as server:
            session = server.session()
            session.ensure("/x")
            set_acl(session, "/", digest_acl("root", "secret"))
            denied = server.get("/commands/snapshot", authorization="digest other:secret")
            assert denied.status == 403 and denied.json()["error"] == "Not authorized", (kind, denied.status)
            assert server.get("/commands/snapshot", authorization="ip").status == 403
            denied = server.request("POST", "/commands/restore", b"x", {"Authorization": "digest root:wrong"})
            assert denied.status == 403, kind
            assert server.get("/commands/snapshot", **ROOT).status == 200, kind


@test
def snapshots_and_restores_are_limited_and_can_be_switched_off(java, fk):
    lines = ["admin.rateLimiterIntervalInMS=3600000"]
    for kind in ("java", "ferrokeeper"):
        with Server(kind, directory("limits-" + kind), *lines) as server:
            session = server.session()
            session.ensure("/x")
            taken = server.get("/commands/snapshot", authorization="ip")
            # Java takes that number for microseconds when it comes to snapshots.
            assert server.get("/commands/snapshot", authorization="ip").status == 429, kind
            time.sleep(3.7)
            assert server.get("/commands/snapshot", authorization="ip").status == 200, kind
            headers = {"Authorization": "ip"}
            assert server.request("POST", "/commands/restore", taken.body, headers).status == 200, kind
            assert server.request("POST", "/commands/restore", taken.body, headers).status == 429, kind
            figures = server.command("mntr")
            assert figures["snapshot_rate_limited_count"] == 1, kind
            assert figures["restore_rate_limited_count"] == 1, kind
            assert figures["cnt_restore_time"] == 1, kind
    lines = ["admin.snapshot.enabled=false", "admin.restore.enabled=false", "admin.commandURL=/other"]
    for kind in ("java", "ferrokeeper"):
        with Server(kind, directory("off-" + kind), *lines, wait=False) as server:
            await_url(server, "/other/ruok")
            assert server.get("/other/snapshot", authorization="ip").status == 503, kind
            assert server.request("POST", "/other/restore", b"x", {"Authorization": "ip"}).status == 503, kind
            assert server.get("/commands/ruok").status == 404, kind


def await_url(server, path, context=None):
    end = time.monotonic() + GIVE_UP_S
    while time.monotonic() < end:
        try:
            answer = server.request("GET", path, None, {}, context)
            if answer.status == 200 and answer.json()["error"] is None:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{path} does not answer: {server.log()[-2000:]}")


@test
def a_large_restore_in_chunks(java, fk):
    with Server("ferrokeeper", directory("chunks")) as server:
        session = server.session()
        for at in range(200):
            session.ensure(f"/big{at}", bytes(20_000))
        session.close()
        taken = server.get("/commands/snapshot", authorization="ip").body
        assert len(taken) > 4_000_000
        pieces = (taken[at : at + 70_001] for at in range(0, len(taken), 70_001))
        answer = server.request("POST", "/commands/restore", pieces, {"Authorization": "ip"})
        assert answer.status == 200, answer.status
        damaged = bytearray(taken)
        damaged[len(taken) // 2] ^= 1
        time.sleep(0.01)
        answer = server.request("POST", "/commands/restore", bytes(damaged), {"Authorization": "ip"})
        assert answer.status == 500, answer.status
        session = server.session()
        assert len(session.children("/")) == 201
        assert server.command("mntr")["restore_error_count"] == 1


# -- HTTPS --


def certificates(where):
    """A CA, and PEM stores of a server and of a client."""
    os.makedirs(where, exist_ok=True)

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=where)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Test CA")
    with open(os.path.join(where, "names.cnf"), "w") as extensions:
        extensions.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    for name in ("server", "client"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.crt", "-days", "30", "-extfile", "names.cnf")
        with open(os.path.join(where, f"{name}.pem"), "w") as store:
            for part in (f"{name}.key", f"{name}.crt"):
                with open(os.path.join(where, part)) as text:
                    store.write(text.read())
    return lambda name: os.path.join(where, name)


def stores(at):
    return [f"ssl.quorum.keyStore.location={at('server.pem')}", f"ssl.quorum.trustStore.location={at('ca.pem')}"]


@test
def https_alone_beside_http_and_with_certificates(java, fk):
    at = certificates(directory("certificates"))
    for kind in ("java", "ferrokeeper"):
        with Server(kind, directory("unified-" + kind), *stores(at), "admin.portUnification=true", wait=False) as server:
            await_url(server, "/commands/ruok")
            await_url(server, "/commands/ruok", trusting(at("ca.pem")))
            secure = server.request("GET", "/commands/ruok", None, {}, trusting(at("ca.pem")))
            assert secure.headers["strict-transport-security"].lower() == "max-age=86400; includesubdomains", kind
            assert server.command("mntr")["insecure_admin_count"] >= 1, kind
        lines = [*stores(at), "admin.forceHttps=true", "admin.needClientAuth=true", "authProvider.x=org.apache.zookeeper.server.auth.X509AuthenticationProvider"]
        # Java looks for the trust of certificates among those for clients.
        lines += [f"ssl.keyStore.location={at('server.pem')}", f"ssl.trustStore.location={at('ca.pem')}"]
        with Server(kind, directory("forced-" + kind), *lines, wait=False) as server:
            known = trusting(at("ca.pem"), at("client.pem"))
            await_url(server, "/commands/ruok", known)
            try:
                plain = server.get("/commands/ruok").status
            except (OSError, http.client.HTTPException):
                plain = None
            assert plain != 200, kind
            try:
                unknown = server.request("GET", "/commands/ruok", None, {}, trusting(at("ca.pem"))).status
            except (OSError, http.client.HTTPException):
                unknown = None
            assert unknown is None, kind
            taken = server.request("GET", "/commands/snapshot", None, {"Authorization": "x509"}, known)
            assert taken.status == 200, (kind, taken.status, taken.body)


# -- the dashboard's questions; its page is looked at by a browser in the suite of that name --


@test
def the_dashboard_tells_what_one_may_know(java, fk):
    with Server("ferrokeeper", directory("dashboard")) as server:
        session = server.session()
        for path in ("/open", "/hidden", "/hidden/below"):
            session.ensure(path, b"secret of " + path.encode())
        set_acl(session, "/hidden", digest_acl("root", "secret"))
        page = server.get("/")
        assert page.status == 200 and "default-src 'none'" in page.headers["content-security-policy"]

        def ask(what, **headers):
            return server.get("/dashboard/api/" + what, **headers).json()

        assert ask("node?path=/open")["data"] == "secret of /open"
        assert ask("node?path=/hidden") == {"path": "/hidden", "denied": True}
        assert ask("children?path=/hidden") == {"denied": True}
        root = {child["name"]: child for child in ask("children?path=/")["children"]}
        assert root["hidden"] == {"name": "hidden"} and root["open"]["bytes"] == len("secret of /open")
        assert ask("node?path=/hidden", **ROOT)["data"] == "secret of /hidden"
        assert [child["name"] for child in ask("children?path=/hidden", **ROOT)["children"]] == ["below"]
        for path in ("", "/nope", "open", "/open/", "//"):
            assert ask(f"node?path={path}") == {"error": "no such node"}, path
        assert server.get("/dashboard/api/node?path=/open", authorization="nope x").status == 401
        assert ask("transactions")["shows_paths"] is True
        set_acl(session, "/", digest_acl("root", "secret"))
        told = ask("transactions")
        assert told["shows_paths"] is False and not [one for one in told["transactions"] if "path" in one]
        assert ask("transactions", **ROOT)["transactions"][1]["path"] == "/hidden"
        # A name that somebody gave this machine's address.
        rebound = server.request("GET", "/dashboard/api/overview", None, {"Host": "page.example:8080"})
        assert rebound.status == 403, rebound.status
        for host in ("localhost:8080", "127.0.0.1", "[::1]:8080"):
            assert server.request("GET", "/dashboard/api/overview", None, {"Host": host}).status == 200, host
        for method in ("POST", "PUT", "DELETE"):
            assert server.request(method, "/dashboard/api/node?path=/open").status == 404, method


# -- starting --


@test
def a_port_that_is_taken(java, fk):
    """Who asked for the AdminServer alone gets to know; who did not, gets the server."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    for kind in ("java", "ferrokeeper"):
        server = Server(kind, directory("taken-" + kind), f"admin.serverPort={port}", "admin.enableServer=true", wait=False)
        assert server.process.wait(GIVE_UP_S) == 4, kind
    server = Server("ferrokeeper", directory("taken-default"), f"admin.serverPort={port}", wait=False)
    end = time.monotonic() + GIVE_UP_S
    while True:
        try:
            assert "Mode: standalone" in server.word("srvr")
            break
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert "Problem starting AdminServer" in server.log()
    server.stop()
    with Server("ferrokeeper", directory("switched-off"), "admin.enableServer=false", wait=False) as server:
        end = time.monotonic() + GIVE_UP_S
        while "binding to port" not in server.log():
            assert time.monotonic() < end
            time.sleep(0.05)
        try:
            server.get("/commands/ruok")
            raise AssertionError("it is not off")
        except OSError:
            pass
    taken.close()


# -- metrics --

PROMETHEUS = "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
LINE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]+="(?:[^"\\\\]|\\\\.)*",)*\})? (NaN|[+-]Inf|-?[0-9.]+(?:E-?[0-9]+)?)')


def scrape(port, query=""):
    """Types by family and values by sample; every line is of the form that Prometheus reads."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_S)
    connection.request("GET", "/metrics" + query)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200 and answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    types, samples, family = {}, {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert line == f"# HELP {family} {family}"
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family and name not in types, line
            types[name] = kind
        else:
            found = LINE.fullmatch(line)
            assert found, line
            assert found[1].startswith(family), line
            key = found[1] + (found[2] or "")
            assert key not in samples, line
            samples[key] = float(found[3])
    return types, samples


def names(samples):
    return {key.split("{")[0] for key in samples}


def wanted_names():
    with open(os.path.join(HERE, "metric-names.txt")) as text:
        lines = [line.split() for line in text if line.strip() and not line.startswith("#")]
    everywhere = {line[0] for line in lines if len(line) == 1}
    return everywhere, {line[0] for line in lines if line[1:] == ["leader"]}


@test
def metrics_have_the_names_of_dashboards_and_of_java(java, fk):
    [port] = free_ports(1)
    lines = [PROMETHEUS, "metricsProvider.httpHost=127.0.0.1", f"metricsProvider.httpPort={port}"]
    with Server("ferrokeeper", directory("metrics"), *lines) as server:
        session = fill(server)
        types, samples = scrape(port)
        lacking = wanted_names()[0] - names(samples)
        assert not lacking, sorted(lacking)
        # The kinds of Java's metrics are to be seen in what its own provider prints.
        for name in java.command("mntr"):
            if name in ("version", "server_state", "command", "error") or name.endswith("_per_namespace"):
                continue
            kind = name.split("_")[0]
            if kind == "cnt" and name[4:] not in types:
                raise AssertionError(name)
            if kind == "cnt":
                assert types[name[4:]] == "summary", name
            elif kind == "p50":
                assert {f'{name[4:]}{{quantile="{q}",}}' for q in ("0.5", "0.9", "0.99")} <= set(samples), name
            elif not re.match("(avg|min|max|sum|p95|p99|p999)_", name) or name in types:
                assert types[name] in ("counter", "gauge"), name
        assert types["commit_count"] == "counter" and types["znode_count"] == "gauge"
        # They count what happens.
        before = samples["commit_count"]
        session.ensure("/counted")
        _, samples = scrape(port)
        assert samples["commit_count"] == before + 1
        session.ensure("/nope")
        _, samples = scrape(port)
        assert samples["node_created_watch_count_sum"] == 1
        assert samples["znode_count"] == server.command("mntr")["znode_count"]
        assert samples["fsynctime_count"] >= samples["commit_count"] > 0
        assert samples["ferrokeeper_log_sync_seconds_count"] == samples["fsynctime_count"]
        assert samples['ferrokeeper_log_sync_seconds_bucket{le="+Inf",}'] == samples["ferrokeeper_log_sync_seconds_count"]
        assert samples['server_state{state="standalone",}'] == 1
        assert samples["process_resident_memory_bytes"] > 1 << 20
        assert 0 < samples['jvm_memory_bytes_used{area="heap",}'] < samples['jvm_memory_bytes_max{area="heap",}']
        _, some = scrape(port, "?name[]=znode_count&name%5B%5D=fsynctime_sum")
        assert set(some) == {"znode_count", "fsynctime_sum"}
        # The words are what they are without it, and figures are not reset under who collects them.
        assert "zk_avg_fsynctime\t" in server.word("mntr") and "quantile" not in server.word("mntr")
        server.word("srst")
        _, after = scrape(port)
        assert after["commit_count"] >= samples["commit_count"]
        for method, path, status in (("POST", "/metrics", 405), ("TRACE", "/metrics", 403), ("GET", "/", 404)):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_S)
            connection.request(method, path)
            assert connection.getresponse().status == status, (method, path)
            connection.close()
    lines.append("metricsProvider.exportJvmInfo=false")
    with Server("ferrokeeper", directory("metrics-alone"), *lines) as server:
        assert not [name for name in names(scrape(port)[1]) if name.startswith(("jvm_memory", "process_"))]
        taken = Server("ferrokeeper", directory("metrics-taken"), *lines, wait=False)
        assert taken.process.wait(GIVE_UP_S) == 1
        assert "Cannot boot MetricsProvider" in taken.log()


# -- who says nothing; rubbish is the suite `security`'s --


@test
def silent_and_slow_connections_end(java, fk):
    with Server("ferrokeeper", directory("idle"), "admin.idleTimeout=300") as server:
        held = [socket.create_connection(("127.0.0.1", server.admin), GIVE_UP_S) for _ in range(100)]
        for at, one in enumerate(held):
            one.sendall(b"GET / HTTP/1.1\r\nHo"[: at % 18])
        # All places are taken for a moment; then everybody else is served.
        assert server.command("ruok")["error"] is None
        for one in held:
            assert one.recv(1) == b""
            one.close()


# -- ensembles --


@test
def members_tell_of_their_ensemble(java, fk):
    ports, metrics = free_ports(9), free_ports(3)
    lines = [f"server.{n}=127.0.0.1:{ports[3 * n - 3]}:{ports[3 * n - 2]};127.0.0.1:{ports[3 * n - 1]}" for n in (1, 2)]
    lines.append(f"server.3=127.0.0.1:{ports[6]}:{ports[7]}:observer;127.0.0.1:{ports[8]}")
    lines += ["initLimit=10", "syncLimit=5", "leader.ackLoggingFrequency=1"]
    members = []
    try:
        for n in (1, 2, 3):
            where = directory(f"member{n}")
            os.makedirs(where + "/data")
            with open(where + "/data/myid", "w") as out:
                out.write(str(n))
            extra = ["peerType=observer"] if n == 3 else []
            extra += [PROMETHEUS, "metricsProvider.httpHost=127.0.0.1", f"metricsProvider.httpPort={metrics[n - 1]}"]
            member = Server("ferrokeeper", where, f"clientPort={ports[3 * n - 1]}", *lines, *extra, wait=False)
            member.port = ports[3 * n - 1]
            members.append(member)
            if n == 1:
                end = time.monotonic() + GIVE_UP_S
                while True:
                    try:
                        ready = member.get("/ready")
                        break
                    except OSError:
                        assert time.monotonic() < end
                        time.sleep(0.05)
                assert (ready.status, ready.body) == (503, b"not serving\n")
                assert member.get("/live").status == 200
                assert member.command("srvr")["error"] == "This ZooKeeper instance is not currently serving requests"
                assert member.command("zabstate")["zabstate"] == "election"
                assert member.command("mntr")["server_state"] == "leaderelection"
        for member in members:
            member.await_ready()
        states = {member.command("srvr")["server_stats"]["server_state"]: member for member in members}
        assert set(states) == {"leader", "follower", "observer"}, states
        leader = states["leader"]
        number = members.index(leader) + 1
        for state, member in states.items():
            own = members.index(member) + 1
            told = member.command("lead")
            assert (told["is_leader"], told["leader_id"], told["leader_ip"]) == (state == "leader", number, "127.0.0.1"), told
            view = member.command("voting_view")["current_config"]
            assert list(view) == ["1", "2"]
            assert view["1"] == {
                "server_addresses": [f"127.0.0.1:{ports[0]}"],
                "election_addresses": [f"127.0.0.1:{ports[1]}"],
                "client_address": f"127.0.0.1:{ports[2]}",
                "learner_type": "participant",
            }, view
            zab = member.command("zabstate")
            assert (zab["myid"], zab["is_leader"], zab["voting"], zab["zabstate"]) == (own, state == "leader", state != "observer", "broadcast"), zab
            assert zab["last_zxid"] == f"0x{(zab['zab_epoch'] << 32) + zab['zab_counter']:x}"
            assert member.get("/ready").status == 200
            refused = member.request("POST", "/commands/restore", b"x", {"Authorization": "ip"})
            assert refused.status == 503 and "member of an ensemble" in refused.json()["error"]
            taken = member.get("/commands/snapshot", authorization="ip")
            assert taken.status == 200 and taken.body[:4] == b"ZKSN", state
        assert "proposal_stats" in leader.command("srvr")
        observers = leader.command("observers")
        assert observers["synced_observers"] == 1 and observers["observers"][0]["sid"] == 3, observers
        types, samples = scrape(metrics[members.index(leader)])
        everywhere, of_leaders = wanted_names()
        lacking = (everywhere | of_leaders) - names(samples)
        assert not lacking, sorted(lacking)
        assert samples["election_time_count"] >= 1 and samples["looking_count"] >= 1
        assert samples["synced_followers"] == 1 and samples["quorum_size"] == 2
        for n in range(30):
            leader.session().ensure(f"/measured{n}")
        # Acknowledgements may come behind the commit.
        end = time.monotonic() + GIVE_UP_S
        follower = members.index(states["follower"]) + 1
        while samples.get(f'ack_latency_count{{key="{follower}",}}', 0) < 30:
            assert time.monotonic() < end, samples
            time.sleep(0.05)
            types, samples = scrape(metrics[number - 1])
        assert types["ack_latency"] == types["learner_handler_qp_size"] == types["learner_handler_qp_time_ms"] == "summary"
        assert samples[f'ack_latency_count{{key="{number}",}}'] >= 30
        assert 'ack_latency_count{key="3",}' not in samples, "an observer acknowledges nothing"
        for learner in (follower, 3):
            assert samples[f'learner_handler_qp_size_count{{key="{learner}",}}'] >= 30
            assert samples[f'learner_handler_qp_time_ms_count{{key="{learner}",}}'] >= 30
        for name in ("quorum_ack_latency", "propagation_latency", "proposal_ack_creation_latency"):
            assert samples[f"{name}_count"] >= 30, name
        assert f"zk_cnt_{follower}_ack_latency\t" in leader.word("mntr")
        for state, received in (("follower", "follower_sync_time_count"), ("observer", "observer_sync_time_count")):
            _, samples = scrape(metrics[members.index(states[state])])
            assert samples[received] == 1, state
            assert samples["learner_commit_received_count"] >= 30, state
            assert samples["commit_propagation_latency_count"] >= 30, state
        assert (samples["learner_proposal_received_count"], samples["proposal_ack_creation_latency_count"]) == (0, 0), "an observer"
    finally:
        for member in members:
            member.stop()


def main():
    passed, failed = 0, []
    wanted = [test for test in TESTS if not ONLY or test.__name__ in ONLY]
    longer = f"maxSessionTimeout={LONG_MS}"
    secret = ["ssl.quorum.keyStore.password=hunter2", "DigestAuthenticationProvider.superDigest=super:hunter2="]
    with Server("java", directory("java"), longer) as java, Server("ferrokeeper", directory("ferrokeeper"), longer, *secret) as fk:
        sessions = [fill(java), fill(fk)]
        for one in wanted:
            try:
                one(java, fk)
                passed += 1
                print(f"ok      {one.__name__}", flush=True)
            except Exception:
                failed.append(one.__name__)
                print(f"FAILED  {one.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{passed} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


main()
