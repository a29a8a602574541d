"""Who may ask what by HTTP: every address of the AdminServer and of the metrics port, the methods that it takes and the
rights that it needs. The table of commands holds for Java's server, too; what only this server has is left out there."""

import http.client
import json
import time

import calls
from calls import ALL, NOBODY, OPEN, READ, acl, digest_of, superuser
from ports import free_ports
from servers import GIVE_UP_S
from trials import JAVA, Tally, start, start_member, start_members

ALICE, BOB = "alice:secret", "bob:secret"
PROMETHEUS = "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"

# Every command, and what it needs: nothing, or every right on the root.
NOTHING, EVERY_RIGHT_ON_ROOT = "nothing", "every right on /"
COMMANDS = dict.fromkeys(
    """configuration connection_stat_reset connections dirs dump environment get_trace_mask hash initial_configuration
    is_read_only last_snapshot leader monitor observer_connection_stat_reset observers ruok server_stats set_trace_mask
    stat_reset stats system_properties voting_view watch_summary watches watches_by_path zabstate""".split(), NOTHING)
COMMANDS |= {"snapshot": EVERY_RIGHT_ON_ROOT, "restore": EVERY_RIGHT_ON_ROOT}
# What only this server has, and whether it takes GET without any right.
OWN = {
    "/": True, "/dashboard": True, "/dashboard/": True, "/live": True, "/ready": True,
    "/dashboard/api/overview": True, "/dashboard/api/sessions": True, "/dashboard/api/transactions": True,
    "/dashboard/api/node?path=/": True, "/dashboard/api/children?path=/": True, "/dashboard/api/hot": True,
}
# Take POST alone, where that is switched on: what is changed, and the right on the node that it needs.
EDITS = {"data": calls.WRITE, "acl": calls.ADMIN}
METHODS = ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "NONSENSE")

# Who asks: the header, and the list of the root that gives this identity some rights.
IDENTITIES = [
    ("a user", f"digest {ALICE}", lambda rights: acl((rights, "digest", digest_of(ALICE)))),
    ("an address", "ip", lambda rights: acl((rights, "ip", "127.0.0.1"))),
    ("a network", "ip", lambda rights: acl((rights, "ip", "127.0.0.0/8"))),
    ("anybody who says who it is", f"digest {BOB}", lambda rights: acl((rights, "world", "anyone"))),
    ("rights of two entries", f"digest {ALICE}",
     lambda rights: acl((rights & READ, "world", "anyone"), (rights & ~READ, "digest", digest_of(ALICE)))),
]


class Stage:
    def __init__(self, server):
        self.server = server
        self.set_root(OPEN)
        self.copy = self.ask("snapshot", f"digest {ALICE}").body

    def set_root(self, list_):
        # A new session each time: a restored tree knows those of its own time.
        root = superuser(self.server.port)
        root.do("setACL", calls.set_acl("/", list_))
        root.close()

    def ask(self, command, authorization=None):
        # One of each is allowed in a millisecond.
        time.sleep(0.005)
        headers = {} if authorization is None else {"Authorization": authorization}
        if command == "restore":
            return self.server.request("POST", "/commands/restore", self.copy, headers)
        return self.server.request("GET", "/commands/" + command, None, headers)

    def expect(self, command, authorization, status, who):
        answer = self.ask(command, authorization)
        assert answer.status == status, f"{command} by {who}: {answer.status}, expected {status}: {answer.body[:200]}"
        if status != 200:
            assert list(answer.json()) == ["command", "error"] and answer.json()["error"], answer.body


def the_table_is_complete(stage):
    page = stage.server.request("GET", "/commands").body.decode()
    listed = [line.split(">")[1].split("<")[0] for line in page.splitlines() if line.startswith("<a ")]
    assert sorted(listed) == sorted(COMMANDS), set(listed) ^ set(COMMANDS)


def needs_nothing(stage, command):
    stage.set_root(NOBODY)
    answer = stage.ask(command)
    assert answer.status == 200, answer.status
    answer = stage.ask(command, "digest who:ever")
    assert answer.status == 200, answer.status


def needs_every_right(stage, command):
    for who, authorization, list_of in IDENTITIES:
        stage.set_root(list_of(ALL))
        stage.expect(command, authorization, 200, who)
        for name, right in calls.RIGHTS.items():
            stage.set_root(list_of(ALL & ~right))
            stage.expect(command, authorization, 403, f"{who} without {name}")
            stage.set_root(list_of(right))
            stage.expect(command, authorization, 403, f"{who} with {name} alone")
    for list_ in (OPEN, NOBODY):
        stage.set_root(list_)
        for authorization in (None, "", "digest", "world anyone", "super", "auth", "x509", "nonsense x", "digest  a:b", "digest a b"):
            stage.expect(command, authorization, 401, f"Authorization: {authorization}")
    stage.set_root(acl((ALL, "digest", digest_of(ALICE)), (ALL, "ip", "10.1.2.3")))
    for authorization in (f"digest {BOB}", "digest alice:wrong", "digest super:wrong", "ip"):
        stage.expect(command, authorization, 403, authorization)
    stage.set_root(NOBODY)
    stage.expect(command, "digest super:test", 200, "the superuser")
    stage.set_root(OPEN)


def takes_no_other_method(stage):
    """What changes something is not done by a method that is not meant for it, and nothing takes the others."""
    for path, methods in [("/commands/snapshot", METHODS), ("/commands/restore", ("GET", *METHODS[1:]))]:
        for method in methods:
            answer = stage.server.request(method, path, None, {"Authorization": f"digest {ALICE}"})
            # Java lists the methods that it takes.
            assert answer.status >= 400 or (JAVA and method == "OPTIONS"), (method, path, answer.status)
    if JAVA:
        return
    for path in [*OWN, "/commands/ruok", "/commands/mntr", "/nonsense", "/dashboard/api/nonsense", "/metrics"]:
        for method in METHODS:
            answer = stage.server.request(method, path, b"", {"Authorization": f"digest {ALICE}"})
            assert answer.status in (400, 403, 404, 405, 501), (method, path, answer.status)


def own_addresses_take_get(stage):
    stage.set_root(NOBODY)
    for path in OWN:
        assert stage.server.request("GET", path).status == 200, path
    for path in ("/nonsense", "/dashboard/nonsense", "/dashboard/api", "/dashboard/api/", "/metrics"):
        assert stage.server.request("GET", path).status == 404, path
    stage.set_root(OPEN)


def api(stage, what, authorization=None):
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = stage.server.request("GET", "/dashboard/api/" + what, None, headers)
    return answer.status, json.loads(answer.body)


def the_dashboard_needs_read_on_the_node(stage):
    root = superuser(stage.server.port)
    for right in range(ALL + 1):
        for who, authorization, list_of in IDENTITIES:
            path = f"/node{right}-{who.replace(' ', '-')}"
            root.do("create", calls.create(path, list_of(right), data=b"secret"))
            root.do("create", calls.create(path + "/below", NOBODY, data=b"secret"))
            for asked, shown in (("node", b"data"), ("children", b"children")):
                status, told = api(stage, f"{asked}?path={path}", authorization)
                assert status == 200 and ("denied" in told) == (not right & READ), (asked, who, right, told)
                assert (shown.decode() in told) == bool(right & READ), (asked, who, right, told)
                if "children" in told and asked == "children":
                    # The child is another node, with a list of its own.
                    assert told["children"] == [{"name": "below"}], told
            root.do("delete", calls.versioned(path + "/below"))
            root.do("delete", calls.versioned(path))
    root.do("create", calls.create("/hidden", NOBODY, data=b"secret"))
    for authorization in (None, f"digest {ALICE}", "ip"):
        for asked in ("node", "children"):
            status, told = api(stage, f"{asked}?path=/hidden", authorization)
            assert status == 200 and told.get("denied") is True and "secret" not in json.dumps(told), told
    assert api(stage, "node?path=/hidden", "digest super:test")[1]["data"] == "secret"
    for authorization in ("nonsense x", "digest", ""):
        assert api(stage, "node?path=/", authorization)[0] == 401, authorization
    root.close()


def the_dashboard_shows_paths_to_who_has_every_right(stage):
    for who, authorization, list_of in IDENTITIES:
        for rights in (ALL, *(ALL & ~right for right in calls.RIGHTS.values())):
            stage.set_root(list_of(rights))
            told = api(stage, "transactions", authorization)[1]
            shown = rights == ALL
            assert told["shows_paths"] == shown, (who, rights)
            assert any("path" in one for one in told["transactions"]) == shown, (who, rights)
    stage.set_root(NOBODY)
    assert api(stage, "transactions", "digest super:test")[1]["shows_paths"] is True
    assert api(stage, "transactions")[1]["shows_paths"] is False
    stage.set_root(OPEN)


def hot_paths_are_counted_for_who_has_every_right(stage):
    """Without it nothing is counted either: it costs the clients nothing."""
    stage.set_root(NOBODY)
    root = superuser(stage.server.port)
    assert api(stage, "hot")[1] == {"shows_paths": False}
    root.ask("exists", calls.watched("/uncounted"))
    told = api(stage, "hot", "digest super:test")[1]
    assert told == {"shows_paths": True, "paths": []}, told
    for _ in range(3):
        root.ask("exists", calls.watched("/hot"))
    root.ask("setData", calls.set_data("/hot"))
    told = api(stage, "hot", "digest super:test")[1]
    assert told["paths"] == [{"path": "/hot", "reads": 3, "writes": 1, "excess": 0}], told
    root.close()
    stage.set_root(OPEN)


def edit(stage, what, path, body, authorization="digest super:test", version=-1, **headers):
    sent = {"Authorization": authorization, "X-Ferrokeeper-Edit": "1", **{name.replace("_", "-"): value for name, value in headers.items()}}
    sent = {name: value for name, value in sent.items() if value is not None}
    answer = stage.server.request("POST", f"/dashboard/api/{what}?path={path}&version={version}", body, sent)
    return answer.status


def edits_need_the_right_on_the_node(stage):
    root = superuser(stage.server.port)
    for what, needed in EDITS.items():
        body = b"changed" if what == "data" else b"world:anyone:cdrwa"
        for who, authorization, list_of in IDENTITIES:
            for at, (rights, allowed) in enumerate([(needed, True), (ALL, True), (ALL & ~needed, False), (0, False)]):
                path = f"/{what}{at}{who.replace(' ', '-')}"
                root.do("create", calls.create(path, list_of(rights), data=b"before"))
                status = edit(stage, what, path, body, authorization)
                assert status == (200 if allowed else 403), (what, who, rights, status)
                stat = root.do("exists", calls.watched(path)).stat()
                changed = stat.version if what == "data" else stat.aversion
                assert changed == allowed, (what, who, rights, stat)
        root.do("create", calls.create("/" + what, NOBODY, data=b"before"))
        # The proxy's address, or this machine's, is nobody's but who asks by it.
        for authorization, status in [(f"digest {ALICE}", 403), ("ip", 403), (None, 401), ("nonsense x", 401), ("digest super:test", 200)]:
            assert edit(stage, what, "/" + what, body, authorization) == status, (what, authorization)
    root.do("create", calls.create("/by-address", acl((ALL, "ip", "127.0.0.1"))))
    assert edit(stage, "data", "/by-address", b"x", f"digest {ALICE}") == 403
    assert edit(stage, "data", "/by-address", b"x", "ip") == 200
    root.close()


def edits_are_for_this_servers_page_alone(stage):
    """A page from elsewhere cannot set the header, cannot hide where it is from, and is no address."""
    root = superuser(stage.server.port)
    root.do("create", calls.create("/page", acl((ALL, "ip", "127.0.0.1")), data=b"before"))
    own = f"127.0.0.1:{stage.server.admin}"
    for headers in (dict(X_Ferrokeeper_Edit=None), dict(Origin="http://page.example"), dict(Origin="null"), dict(Origin=""),
                    dict(Origin=f"http://{own}.page.example"), dict(Host="page.example"),
                    dict(Host="page.example", Origin="http://page.example")):
        assert edit(stage, "data", "/page", b"x", "ip", **headers) == 403, headers
    assert root.do("exists", calls.watched("/page")).stat().version == 0
    for headers in ({}, dict(Origin=f"http://{own}", Host=own), dict(Host="localhost:1", Origin="http://localhost:1")):
        assert edit(stage, "data", "/page", b"x", "ip", **headers) == 200, headers
    preflight = stage.server.request("OPTIONS", "/dashboard/api/data", None, {"Origin": "http://page.example", "Access-Control-Request-Method": "POST"})
    assert preflight.status == 405 and not [name for name in preflight.headers if name.lower().startswith("access-control")]
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        for what in EDITS:
            assert stage.server.request(method, f"/dashboard/api/{what}?path=/page&version=-1", b"", {"Authorization": "ip", "X-Ferrokeeper-Edit": "1"}).status == 405
    root.close()


def edits_go_the_way_of_every_request(stage):
    root = superuser(stage.server.port)
    root.do("create", calls.create("/way", OPEN, data=b"before"))
    root.do("addWatch", calls.numbered("/way", calls.PERSISTENT))
    for body in (b"", b"x", bytes(range(256)), b"y" * 500_000):
        assert edit(stage, "data", "/way", body) == 200
        assert root.do("getData", calls.watched("/way")).blob() == body
    assert len(root.take_events()) == 4
    version = root.do("exists", calls.watched("/way")).stat().version
    assert edit(stage, "data", "/way", b"late", version=version - 1) == 409
    assert edit(stage, "data", "/way", b"in time", version=version) == 200
    for path, status in (("/missing", 404), ("", 400), ("way", 400), ("/way/", 400)):
        assert edit(stage, "data", path, b"x") == status, path
    assert edit(stage, "data", "/way", b"x", version="") == 400
    for list_, status in ((b"", 400), (b"world:anyone", 400), (b"world:nobody:r", 400), (b"digest:a:b:q", 400), (bytes([255]), 400), (b"digest:a:b:r,ip:10.0.0.0/8:cdrwa", 200)):
        assert edit(stage, "acl", "/way", list_) == status, list_
    assert edit(stage, "data", "/way", b"z" * 1_100_000) == 413
    # The sessions that did it are gone.
    assert stage.server.command("connections")["connections"][1:] == []
    root.close()


def edits_at_every_member(members):
    """A follower has its leader carry them out, and says what came of it."""
    states = {member.command("srvr")["server_stats"]["server_state"] for member in members}
    assert states == {"leader", "follower"}, states
    root = superuser(members[0].port)
    for at, member in enumerate(members):
        path = f"/by{at}"
        root.do("create", calls.create(path, acl((calls.WRITE, "digest", digest_of(ALICE))), data=b"before"))
        # What is at one member now comes to the others in a moment.
        caller = superuser(member.port)
        caller.do("sync", calls.text(path))
        for authorization, version, status in ((f"digest {BOB}", -1, 403), (f"digest {ALICE}", 5, 409), (f"digest {ALICE}", 0, 200)):
            answer = member.request("POST", f"/dashboard/api/data?path={path}&version={version}", b"after", {
                "Authorization": authorization, "X-Ferrokeeper-Edit": "1"})
            assert answer.status == status, (at, authorization, version, answer.status, answer.body)
        assert caller.do("getData", calls.watched(path)).blob() == b"after"
        assert answer.json()["error"] is None
        told = json.loads(member.get("/dashboard/api/overview").body)["members"]
        assert [one["id"] for one in told] == [1, 2, 3] and told[at]["self"] and told[at]["zxid"].startswith("0x"), told
        caller.close()


def edits_are_off_unless_wanted(stage):
    for what in EDITS:
        assert edit(stage, what, "/", b"world:anyone:r") == 403
    assert api(stage, "overview")[1]["edits"] is False


def pages_from_elsewhere_get_nothing(stage):
    """A browser's page of another name, that was given this machine's address."""
    for path in OWN:
        if "/api/" in path:
            for host in ("page.example", "page.example:8080", "localhost.page.example", "127.0.0.1.page.example"):
                assert stage.server.request("GET", path, None, {"Host": host}).status == 403, (path, host)


def metrics_are_for_everybody_and_nothing_else_is_there(stage, port):
    def status(method, path):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_S)
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    stage.set_root(NOBODY)
    assert status("GET", "/metrics") == 200 and status("HEAD", "/metrics") == 200
    for method in METHODS:
        assert status(method, "/metrics") in (403, 405), method
    for path in ("/", *OWN, "/commands", "/commands/ruok", "/commands/snapshot", "/metrics/", "/metrics/../commands/ruok"):
        assert status("GET", path) == 404, path
    stage.set_root(OPEN)


def main():
    tally = Tally()
    [metrics] = free_ports(1)
    lines = [] if JAVA else [PROMETHEUS, "metricsProvider.httpHost=127.0.0.1", f"metricsProvider.httpPort={metrics}"]
    with start("routes", *lines) as server:
        stage = Stage(server)
        tally.run("the table has every command", the_table_is_complete, stage)
        for command, needs in COMMANDS.items():
            check = needs_nothing if needs == NOTHING else needs_every_right
            tally.run(f"{command} needs {needs}", check, stage, command)
        tally.run("no other method is taken", takes_no_other_method, stage)
        if not JAVA:
            for check in (own_addresses_take_get, the_dashboard_needs_read_on_the_node,
                          the_dashboard_shows_paths_to_who_has_every_right, hot_paths_are_counted_for_who_has_every_right,
                          edits_are_off_unless_wanted, pages_from_elsewhere_get_nothing):
                tally.run(check.__name__, check, stage)
            check = metrics_are_for_everybody_and_nothing_else_is_there
            tally.run(check.__name__, check, stage, metrics)
    if not JAVA:
        for name, begin in (("edits", start), ("edits-of-a-member", start_member)):
            with begin(name, "admin.dashboard.edit=true") as server:
                stage = Stage(server)
                for check in (edits_need_the_right_on_the_node, edits_are_for_this_servers_page_alone, edits_go_the_way_of_every_request):
                    tally.run(f"{check.__name__}, {name}", check, stage)
        members = start_members("edits-of-members", 3, "admin.dashboard.edit=true")
        tally.run(edits_at_every_member.__name__, edits_at_every_member, members)
        for member in members:
            member.stop()
    tally.conclude()


if __name__ == "__main__":
    main()
