"""Servers with something to show, and the browser that looks at them: dashboard.py DIR SCREENSHOTS."""

import os
import struct
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from ports import free_ports  # noqa: E402
from servers import GIVE_UP_S, Server, client  # noqa: E402

DIR, SCREENSHOTS = sys.argv[1:3]
LONG_MS = 3_600_000
MANY = 2500
SET_ACL = 7


def fill(server):
    session = server.session(timeout_ms=LONG_MS)
    session.ensure("/app")
    session.ensure("/app/config", b"retries=3\ncolour=blue\n")
    session.ensure("/app/<b>tags", b"<script>document.title='broken'</script>")
    session.ensure("/binary", bytes(range(256)))
    session.ensure("/secret", b"nobody may see this")
    session.ensure("/edited", b"before")
    session.ensure("/many")
    for at in range(MANY):
        session.ensure(f"/many/child-{at:05d}", b"x")
    session.create("/app/lock", b"", flags=1)
    session.get("/app/config", watch=True)
    # digest of root:secret
    acl = struct.pack(">ii", 1, 31) + client.text("digest") + client.text("root:J1scEM42CKaLPP5+ElgpgGsuONg=")
    error, _ = session.write(SET_ACL, client.text("/secret") + acl + struct.pack(">i", -1))
    assert error == 0, error
    return session


def load(session, stop):
    """Half writes, half reads, until told to stop."""
    at = 0
    while not stop.is_set():
        session.set("/app/config", b"retries=%d\ncolour=blue\n" % at)
        session.get("/app/config")
        at += 1
    session.close()


def browse(*arguments):
    command = ["timeout", "300", "node", "dashboard.mjs", SCREENSHOTS, *map(str, arguments)]
    return subprocess.run(command, cwd=DIR).returncode


def main():
    stop = threading.Event()
    longer = (f"maxSessionTimeout={LONG_MS}", "admin.dashboard.edit=true")
    with Server("ferrokeeper", os.path.join(DIR, "alone"), *longer) as server:
        session = fill(server)
        loading = threading.Thread(target=load, args=(server.session(timeout_ms=LONG_MS), stop))
        loading.start()
        failed = browse("alone", server.admin, MANY)
        stop.set()
        loading.join()
        session.close()
    ports = free_ports(9)
    lines = [f"server.{n}=127.0.0.1:{ports[3 * n - 3]}:{ports[3 * n - 2]};127.0.0.1:{ports[3 * n - 1]}" for n in (1, 2, 3)]
    members = []
    try:
        for n in (1, 2, 3):
            where = os.path.join(DIR, f"member{n}")
            os.makedirs(where + "/data")
            with open(where + "/data/myid", "w") as out:
                out.write(str(n))
            port = f"clientPort={ports[3 * n - 1]}"
            member = Server("ferrokeeper", where, port, *lines, "initLimit=10", "syncLimit=5", wait=False)
            members.append(member)
        for member in members:
            member.await_ready()
        leader = next(m for m in members if m.command("srvr")["server_stats"]["server_state"] == "leader")
        end = time.monotonic() + GIVE_UP_S
        while leader.command("mntr")["synced_followers"] < 2:
            assert time.monotonic() < end
            time.sleep(0.05)
        number = members.index(leader) + 1
        failed |= browse("ensemble", leader.admin, number)
        session = client.Session(lambda: [ports[3 * number - 1]], timeout_ms=LONG_MS)
        for path in ("/app", "/app/config"):
            session.ensure(path)
        stop.clear()
        loading = threading.Thread(target=load, args=(session, stop))
        loading.start()
        failed |= browse("busy", leader.admin, number)
        stop.set()
        loading.join()
    finally:
        for member in members:
            member.stop()
    sys.exit(failed)


main()
