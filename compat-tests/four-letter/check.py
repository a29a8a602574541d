"""Checks of four-letter words against a running server: check.py GROUP PORT DIR java|ferrokeeper."""

import datetime
import os
import re
import socket
import struct
import sys
import time

GROUP, PORT, DIR, SERVER = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
HERE = os.path.dirname(os.path.abspath(__file__))
# Never an expectation: only what keeps a suite that talks to a dead server from waiting for ever.
GIVE_UP_S = 30

WORDS = "conf cons crst dirs dump envi gtmk hash isro mntr ruok srst srvr stat stmk wchc wchp wchs".split()
VERSION = r"\d+\.\d+\.\d+-\S+, built on \d{4}-\d\d-\d\d \d\d:\d\d UTC"
PEER = r"/127\.0\.0\.1:\d+"


def connect():
    return socket.create_connection(("127.0.0.1", PORT), GIVE_UP_S)


def read_to_end(sock):
    data = b""
    while True:
        try:
            chunk = sock.recv(65536)
        except ConnectionResetError:
            # Java leaves what came after the word unread, and so resets after its answer.
            assert SERVER == "java", "the connection was reset"
            return data
        if not chunk:
            return data
        data += chunk


def ask(word, *rest, half_close=False):
    """The answer to a word; the connection ends with it."""
    with connect() as sock:
        sock.sendall(word if isinstance(word, bytes) else word.encode())
        for part in rest:
            sock.sendall(part)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        return read_to_end(sock).decode()


def string(text):
    return struct.pack(">i", len(text)) + text.encode()


ACL = struct.pack(">ii", 1, 31) + string("world") + string("anyone")


class Session:
    """A client that waits for each answer."""

    def __init__(self, timeout_ms):
        self.sock = connect()
        self.port = self.sock.getsockname()[1]
        self.send(struct.pack(">iqiq", 0, 0, timeout_ms, 0) + struct.pack(">i", 16) + bytes(16) + b"\0")
        answer = self.receive()
        _, self.timeout_ms, self.id = struct.unpack(">iiq", answer[:16])
        assert self.id != 0
        self.xid = 0

    def send(self, frame):
        self.sock.sendall(struct.pack(">i", len(frame)) + frame)

    def receive(self):
        (length,) = struct.unpack(">i", self.exactly(4))
        return self.exactly(length)

    def exactly(self, length):
        data = b""
        while len(data) < length:
            chunk = self.sock.recv(length - len(data))
            assert chunk, "the server closed the connection"
            data += chunk
        return data

    def call(self, op, body=b"", xid=None):
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.send(struct.pack(">ii", xid, op) + body)
        answer = self.receive()
        got, zxid, error = struct.unpack(">iqi", answer[:16])
        assert got == xid, (got, xid)
        return zxid, error

    def create(self, path, flags=0):
        zxid, error = self.call(1, string(path) + struct.pack(">i", 0) + ACL + struct.pack(">i", flags))
        assert error == 0, error
        return zxid

    def watch(self, path):
        return self.call(3, string(path) + b"\1")

    def ping(self):
        return self.call(11, xid=-2)

    def close(self):
        self.call(-11)
        assert self.sock.recv(1) == b"", "closeSession keeps the connection open"
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.close()
        else:
            self.sock.close()

    def hex(self):
        return f"0x{self.id & (2**64 - 1):x}"


def lines_match(text, patterns):
    """Each line of the text matches the pattern at its place, and the last line ends."""
    assert text.endswith("\n"), repr(text[-80:])
    lines = text[:-1].split("\n")
    for number, (line, pattern) in enumerate(zip(lines, patterns), 1):
        assert re.fullmatch(pattern, line), f"line {number}: {line!r} is not /{pattern}/"
    assert len(lines) == len(patterns), f"{len(lines)} lines instead of {len(patterns)}:\n{text}"


def no_connections_but(count):
    """Waits until the server has dropped the connections that earlier checks closed."""
    deadline = time.monotonic() + GIVE_UP_S
    while time.monotonic() < deadline:
        if f"Connections: {count + 1}\n" in ask("srvr"):
            return
    raise AssertionError("closed connections are still counted")


STATUS = [
    r"Latency min/avg/max: \d+/\d+\.\d{1,4}/\d+",
    r"Received: \d+",
    r"Sent: \d+",
    r"Connections: \d+",
    r"Outstanding: \d+",
    r"Zxid: 0x[0-9a-f]+",
    r"Mode: standalone",
    r"Node count: \d+",
]


def srvr_of_a_fresh_server():
    text = ask("srvr")
    lines_match(text, [f"Zookeeper version: {VERSION}"] + STATUS)
    assert "Node count: 5\n" in text and "Connections: 1\n" in text and "Zxid: 0x0\n" in text, text


def srvr_counts():
    def number(text, name):
        return int(re.search(name + r": (\w+)", text).group(1), 0)

    with Session(30000) as session:
        before = ask("srvr")
        zxid = session.create("/srvr")
        after = ask("srvr")
    assert number(after, "Zxid") == zxid, after
    assert number(after, "Node count") == number(before, "Node count") + 1, before + after
    # The word is a packet of its own, and so is the answer to the one before. A packet may be counted
    # only after its receiver has gone on: that of the handshake may be missing before, the last after.
    assert number(after, "Received") == number(before, "Received") + 2, before + after
    assert 1 <= number(after, "Sent") - number(before, "Sent") <= 3, before + after
    no_connections_but(0)
    with connect():
        no_connections_but(1)
    no_connections_but(0)


def stat():
    with Session(30000) as session:
        text = ask("stat")
    clients = text.split("Clients:\n")[1].split("\n\n")[0].split("\n")
    client = rf" {PEER}\[[0-9a-f]+\]\(queued=\d+,recved=\d+,sent=\d+\)"
    lines_match(text, [f"Zookeeper version: {VERSION}", "Clients:"] + [client] * len(clients) + [""] + STATUS)
    ours = [line for line in clients if line.startswith(f" /127.0.0.1:{session.port}[")]
    assert ours == [f" /127.0.0.1:{session.port}[1](queued=0,recved=1,sent=1)"], clients
    # The connection that asks is listed too; nothing but the word came on it.
    assert sum("[0](queued=0,recved=1,sent=0)" in line for line in clients) == 1, clients
    for line in text.split("\n\n")[1].splitlines():
        assert line.count(":") == 1, f"{line!r} would be cut in the wrong place"


def cons():
    with Session(30000) as first, Session(60000) as second, Session(30000) as fresh:
        created = first.create("/cons-1")
        second.create("/cons-2")
        pinged, _ = second.ping()
        text = ask("cons")
        assert ask("crst") == "Connection stats reset.\n"
        after_reset = next(line for line in ask("cons").split("\n") if f":{first.port}[" in line)

    assert text.endswith(")\n\n"), repr(text[-40:])
    by_port = {int(re.match(r" /[\d.]+:(\d+)\[", line).group(1)): line for line in text[:-2].split("\n")}
    for session, operation, zxid, packets in [(first, "CREA", created, 2), (second, "PING", pinged, 3)]:
        # Digits whose value depends on the moment.
        line = re.sub(r"(est|lresp|llat|minlat|avglat|maxlat)=\d+", r"\1=N", by_port[session.port])
        expected = (
            f" /127.0.0.1:{session.port}[1](queued=0,recved={packets},sent={packets},sid={session.hex()},"
            # The xid of a ping is none to remember.
            f"lop={operation},est=N,to={session.timeout_ms},lcxid=0x1,lzxid=0x{zxid:x},lresp=N,llat=N,"
            "minlat=N,avglat=N,maxlat=N)"
        )
        assert line == expected, f"{line}\ninstead of\n{expected}"
    line = by_port[fresh.port]
    assert "lop=SESS" in line and f"sid={fresh.hex()}" in line, line
    established_s = int(re.search(r"est=(\d+)", line).group(1)) / 1000
    assert abs(established_s - time.time()) < 3600, line
    commands = [line for line in by_port.values() if "sid=" not in line]
    assert len(commands) == 1, commands
    assert re.fullmatch(rf" {PEER}\[0\]\(queued=0,recved=1,sent=0\)", commands[0]), commands

    assert "recved=0,sent=0" in after_reset and "lop=NA" in after_reset, after_reset
    end = "lzxid=0xffffffffffffffff,lresp=0,llat=0,minlat=0,avglat=0,maxlat=0)"
    assert "lcxid" not in after_reset and after_reset.endswith(end), after_reset


def last_operations():
    root = string("/")
    operations = [
        (15, string("/lop") + struct.pack(">i", 0) + ACL + struct.pack(">i", 0), "CREA"),
        (5, string("/lop") + struct.pack(">ii", 0, -1), "SETD"),
        (7, string("/lop") + ACL + struct.pack(">i", -1), "SETA"),
        (4, root + b"\0", "GETD"),
        (6, root, "GETA"),
        (8, root + b"\0", "GETC"),
        (12, root + b"\0", "GETC"),
        (104, root, "GETACN"),
        (3, root + b"\0", "EXIS"),
        (9, root, "SYNC"),
        (103, root, "GETE"),
        (106, root + struct.pack(">i", 0), "ADDW"),
        (17, root + struct.pack(">i", 4), "CHKW"),
        (18, root + struct.pack(">i", 4), "REMW"),
        (107, b"", "HOMI"),
        (2, string("/lop") + struct.pack(">i", -1), "DELE"),
        (14, struct.pack(">ibi", -1, 1, -1), "MULT"),
        (22, struct.pack(">ibi", -1, 1, -1), "MLTR"),
    ]
    with Session(30000) as session:
        for op, body, name in operations:
            _, error = session.call(op, body)
            line = next(line for line in ask("cons").split("\n") if f":{session.port}[" in line)
            shown = re.search(r"lop=(\w+)", line).group(1)
            assert shown == name, f"operation {op} (error {error}) is shown as {shown}, not {name}"
            assert f"lcxid=0x{session.xid:x}," in line, line


def conf():
    text = ask("conf")
    version_2 = re.escape(os.path.join(os.path.realpath(DIR), "data", "version-2"))
    lines_match(
        text,
        [
            f"clientPort={PORT}",
            "secureClientPort=-1",
            f"dataDir={version_2}",
            r"dataDirSize=\d+",
            f"dataLogDir={version_2}",
            r"dataLogSize=\d+",
            "tickTime=2000",
            "maxClientCnxns=0",
            "minSessionTimeout=4000",
            "maxSessionTimeout=40000",
            "clientPortListenBacklog=-1",
            "serverId=0",
        ],
    )


def envi():
    keys = (
        "zookeeper.version host.name java.version java.vendor java.home java.class.path java.library.path "
        "java.io.tmpdir java.compiler os.name os.arch os.version user.name user.home user.dir "
        "os.memory.free os.memory.max os.memory.total"
    ).split()
    if SERVER == "ferrokeeper":
        keys.append("server.implementation")
    values = {"zookeeper.version": VERSION, "server.implementation": "ferrokeeper"}
    memory = r"\d+MB"
    lines_match(
        ask("envi"),
        ["Environment:"]
        + [re.escape(key) + "=" + values.get(key, memory if ".memory." in key else ".+") for key in keys],
    )


def mntr():
    no_connections_but(0)
    with Session(30000) as session:
        session.create("/mntr", flags=1)
        session.watch("/")
        text = ask("mntr")
    assert text.endswith("\n") and "\n\n" not in text, repr(text)
    values = {}
    for line in text.splitlines():
        # What a widespread agent matches each line with; it gives up on the first other line.
        assert re.match(r"zk_(\w[\w.\-]*)\s+([\w.\-]+)", line), line
        key, value = line.split("\t")
        assert key not in values, f"{key} twice"
        values[key] = value
    assert list(values)[:2] == ["zk_version", "zk_server_state"], list(values)[:2]
    assert re.fullmatch(VERSION, values["zk_version"])
    assert values["zk_server_state"] == "standalone"
    with open(os.path.join(HERE, "mntr-keys.txt")) as file:
        expected = {line.strip() for line in file if line.strip() and not line.startswith("#")}
    missing = expected - set(values)
    assert not missing, f"missing: {sorted(missing)}"
    surplus = {key for key in set(values) - expected if not key.endswith("_per_namespace")}
    if SERVER == "java":
        assert not surplus, f"the list of keys lacks {sorted(surplus)}"
    else:
        # Aliases that old tools ask for.
        assert surplus <= {"zk_followers", "zk_fsync_threshold_exceed_count"}, surplus
    for key, value in values.items():
        if key in ("zk_version", "zk_server_state"):
            continue
        double = key.startswith("zk_avg_") or key == "zk_connection_drop_probability"
        pattern = r"\d+\.\d+(E\d+)?" if double else r"-?\d+"
        assert re.fullmatch(pattern, value), f"{key} {value}"
    for key, value in [
        ("zk_ephemerals_count", "1"),
        ("zk_watch_count", "1"),
        ("zk_global_sessions", "1"),
        ("zk_local_sessions", "0"),
        ("zk_num_alive_connections", "2"),
        ("zk_outstanding_requests", "0"),
    ]:
        assert values[key] == value, f"{key} {values[key]}"
    for key in [
        "zk_open_file_descriptor_count",
        "zk_max_file_descriptor_count",
        "zk_approximate_data_size",
        "zk_cnt_updatelatency",
        "zk_cnt_fsynctime",
        "zk_connection_request_count",
        "zk_bytes_received_count",
    ]:
        assert int(values[key]) > 0, f"{key} {values[key]}"


def srst():
    with Session(30000) as session:
        session.create("/srst")
        assert ask("srst") == "Server stats reset.\n"
        text = ask("srvr")
        values = dict(line.split("\t") for line in ask("mntr").splitlines())
    # After the reset there were its own answer, perhaps a late count of the one before, and this word.
    assert re.search(r"Latency min/avg/max: 0/0.0/0\nReceived: 1\nSent: [12]\n", text), text
    for key in ["zk_max_latency", "zk_cnt_updatelatency", "zk_cnt_fsynctime", "zk_connection_request_count"]:
        assert values[key] == "0", f"{key} {values[key]}"
    assert values["zk_last_client_response_size"] == "-1"


DATE = r"(\w{3} \w{3} \d\d \d\d:\d\d:\d\d UTC \d{4})"


def near(date):
    """A point in time within the minutes that follow."""
    at = datetime.datetime.strptime(date, "%a %b %d %H:%M:%S UTC %Y").replace(tzinfo=datetime.timezone.utc)
    seconds = at.timestamp() - time.time()
    assert -GIVE_UP_S < seconds < 600, date


def dump():
    with Session(30000) as owner, Session(30000) as other:
        owner.create("/dump-a", flags=1)
        owner.create("/dump-b", flags=1)
        text = ask("dump")
    head, rest = text.split("ephemeral nodes dump:\n")
    ephemerals, connections = rest.split("Connections dump:\n")

    lines = head.splitlines()
    assert lines[0] == "SessionTracker dump:", lines
    buckets, sessions = map(int, re.fullmatch(r"Session Sets \((\d+)\)/\((\d+)\):", lines[1]).groups())
    listed = check_sets(lines[2:], buckets, sessions, r"\t(0x[0-9a-f]+)")
    assert {owner.hex(), other.hex()} == set(listed), listed

    lines = ephemerals.splitlines()
    assert lines[0] == "Sessions with Ephemerals (1):", lines
    assert lines[1] == f"{owner.hex()}:", lines
    assert sorted(lines[2:]) == ["\t/dump-a", "\t/dump-b"], lines

    if connections:
        lines = connections.splitlines()
        buckets, members = map(int, re.fullmatch(r"Connections Sets \((\d+)\)/\((\d+)\):", lines[0]).groups())
        if members:
            listed = check_sets(lines[1:], buckets, members, rf"\tip: ({PEER}) sessionId: 0x[0-9a-f]+")
            assert f"\tip: /127.0.0.1:{owner.port} sessionId: {owner.hex()}" in lines, lines


def check_sets(lines, buckets, members, member):
    """Lists of members under the times at which they expire, the earliest first."""
    listed, dates, left = [], [], 0
    for line in lines:
        head = re.fullmatch(rf"(\d+) expire at {DATE}:", line)
        if head:
            assert left == 0, f"{left} members are missing before {line!r}"
            left = int(head.group(1))
            near(head.group(2))
            dates.append(datetime.datetime.strptime(head.group(2), "%a %b %d %H:%M:%S UTC %Y"))
        else:
            listed.append(re.fullmatch(member, line).group(1))
            left -= 1
    assert left == 0 and len(dates) == buckets and len(listed) == members, lines
    assert dates == sorted(dates), dates
    return listed


def watches():
    with Session(30000) as one, Session(30000) as two:
        one.watch("/w-1")
        one.watch("/w-2")
        two.watch("/w-1")
        # A child watch is not shown.
        two.call(8, string("/") + b"\1")
        summary = ask("wchs")
        by_session, by_path = watch_groups(ask("wchc")), watch_groups(ask("wchp"))
    assert summary == "2 connections watching 2 paths\nTotal watches:3\n", summary
    assert by_session == {one.hex(): {"/w-1", "/w-2"}, two.hex(): {"/w-1"}}, by_session
    assert by_path == {"/w-1": {one.hex(), two.hex()}, "/w-2": {one.hex()}}, by_path
    for word, empty in [("wchs", "0 connections watching 0 paths\nTotal watches:0\n"), ("wchc", "\n"), ("wchp", "\n")]:
        text = ask(word)
        assert text == empty, f"{word} without watches: {text!r}"


def watch_groups(text):
    assert text.endswith("\n\n"), repr(text)
    groups = {}
    for line in text[:-2].split("\n"):
        if line.startswith("\t"):
            groups[head].add(line[1:])
        else:
            head = line
            assert head not in groups, text
            groups[head] = set()
    return groups


def small_words():
    assert ask("ruok") == "imok"
    assert ask("isro") == "rw"
    lines_match(ask("dirs"), [r"datadir_size: \d+", r"logdir_size: \d+"])


def digests_are_recorded():
    """Every 128th transaction leaves a line."""
    with Session(10000) as session:
        for number in range(130):
            session.create(f"/digests{number}")
    lines = ask("hash").splitlines()
    assert lines
    for line in lines:
        zxid, _ = re.fullmatch(r"([0-9a-f]+): (-?\d+)", line).groups()
        assert int(zxid, 16) % 128 == 0, line


def trace_mask():
    before = ask("gtmk")
    assert before == "306", before
    assert ask(b"stmk" + struct.pack(">q", 258)) == "258"
    assert ask("gtmk") == "258"
    assert ask(b"stmk" + struct.pack(">q", 306)) == "306"


def half_closed_clients_are_answered():
    for word in WORDS:
        argument = struct.pack(">q", 306) if word == "stmk" else b""
        answer = ask(word.encode() + argument, half_close=True)
        assert answer or word == "hash", f"{word} is not answered"


def bytes_after_the_word_do_not_matter():
    for rest in [b"\n", b"\r\n", b" and more", bytes(64)]:
        assert ask(b"ruok" + rest) == "imok", rest
        assert ask(b"srvr" + rest).startswith("Zookeeper version: "), rest


def a_word_may_come_in_pieces():
    with connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"ruok":
            sock.sendall(bytes([byte]))
            # The pieces must be able to arrive as such; nothing depends on it.
            time.sleep(0.01)
        assert read_to_end(sock) == b"imok"


def unknown_words_close():
    for word in [b"xxxx", b"RUOK", b"kill", b"reqs", b"\xff\xf4\xff\xfd"]:
        assert ask(word) == "", word


def words_are_frame_lengths_in_a_session():
    session = Session(30000)
    session.sock.sendall(b"ruok")
    assert read_to_end(session.sock) == b""


def refused_words():
    allowed = {"ruok", "stat", "srvr"}
    for word in WORDS:
        refusal = f"{word} is not executed because it is not in the whitelist.\n"
        assert (ask(word) == refusal) == (word not in allowed), word
        if word not in allowed:
            assert ask(word, half_close=True) == refusal, word
    assert ask(b"\xff\xf4\xff\xfd") == "telnet close is not executed because it is not in the whitelist.\n"
    assert ask("xxxx") == ""
    assert ask("ruok") == "imok"


def isro_is_allowed():
    for word, start in [
        ("isro", "rw"),
        ("conf", "clientPort="),
        ("srvr", "Zookeeper version: "),
        ("ruok", "ruok is not executed because it is not in the whitelist.\n"),
    ]:
        text = ask(word)
        assert text.startswith(start), f"{word}: {text!r}"


GROUPS = {
    "all-words": [
        srvr_of_a_fresh_server,
        srvr_counts,
        stat,
        cons,
        last_operations,
        conf,
        envi,
        mntr,
        srst,
        dump,
        watches,
        small_words,
        trace_mask,
        half_closed_clients_are_answered,
        bytes_after_the_word_do_not_matter,
        a_word_may_come_in_pieces,
        unknown_words_close,
        words_are_frame_lengths_in_a_session,
        digests_are_recorded,
    ],
    "some-words": [refused_words],
    "read-only-mode": [isro_is_allowed],
}


def main():
    failures = 0
    for check in GROUPS[GROUP]:
        try:
            check()
            print(f"ok   {GROUP}: {check.__name__}")
        except Exception as error:  # one failure must not hide the next
            failures += 1
            print(f"FAIL {GROUP}: {check.__name__}: {type(error).__name__}: {error}")
    sys.exit(1 if failures else 0)


main()
