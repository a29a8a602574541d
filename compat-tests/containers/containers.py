"""What somebody with the official image's compose file sees after changing the image's name."""

import json
import os
import pathlib
import subprocess
import sys
import traceback

from kazoo.protocol.states import KazooState

from engine import IMAGE, PATIENCE, PROJECT, WORK, address, client, config, docker, made, mode, run, start, until
from monitoring import from_java_with_its_dashboard_and_alerts


def alone_without_any_variable():
    name = start(IMAGE)
    zk = client(address(name))
    zk.create("/kept", b"value")
    zk.stop()
    assert mode(name) == "standalone"
    process = docker("exec", name, "ps", "-o", "pid,user,args").splitlines()[1].split()
    assert process[:3] == ["1", "zookeepe", "ferrokeeper"] or process[:3] == ["1", "zookeeper", "ferrokeeper"], process
    until(lambda: "binding to port" in run("docker", "logs", name).stdout + run("docker", "logs", name).stderr,
          "the line that test tools wait for")
    state = lambda: json.loads(docker("inspect", name))[0]["State"]
    until(lambda: state()["Health"]["Status"] == "healthy", "the health check passes")
    docker("stop", name)
    assert state()["ExitCode"] == 0, "SIGTERM is a clean stop"
    docker("start", name)
    zk = client(address(name))
    assert zk.get("/kept")[0] == b"value"
    zk.stop()


def any_user_will_do():
    name = start("--user", "1000", "--read-only", "--tmpfs", "/conf:uid=1000", "--cap-drop", "ALL", IMAGE)
    zk = client(address(name))
    zk.create("/a")
    zk.stop()


def every_variable_has_its_line():
    variables = {
        "ZOO_TICK_TIME": "1500", "ZOO_INIT_LIMIT": "7", "ZOO_SYNC_LIMIT": "3", "ZOO_MAX_CLIENT_CNXNS": "11",
        "ZOO_STANDALONE_ENABLED": "true", "ZOO_ADMINSERVER_ENABLED": "false", "ZOO_AUTOPURGE_PURGEINTERVAL": "1",
        "ZOO_AUTOPURGE_SNAPRETAINCOUNT": "4", "ZOO_4LW_COMMANDS_WHITELIST": "srvr,conf", "ZOO_MY_ID": "5",
        "ZOO_CFG_EXTRA": "minSessionTimeout=4000 maxSessionTimeout=50000",
        "ZOO_SERVERS": "server.5=localhost:2888:3888;2181",
    }
    name = start(*[f"--env={key}={value}" for key, value in variables.items()], IMAGE)
    client(address(name)).stop()
    expected = {
        "dataDir=/data", "dataLogDir=/datalog", "tickTime=1500", "initLimit=7", "syncLimit=3",
        "maxClientCnxns=11", "standaloneEnabled=true", "admin.enableServer=false", "autopurge.purgeInterval=1",
        "autopurge.snapRetainCount=4", "4lw.commands.whitelist=srvr,conf", "minSessionTimeout=4000",
        "maxSessionTimeout=50000", "server.5=localhost:2888:3888;2181",
    }
    assert set(config(name)) == expected, config(name)
    assert docker("exec", name, "cat", "/data/myid") == "5"
    said = docker("exec", name, "sh", "-c", "echo conf | nc localhost 2181")
    for line in ("tickTime=1500", "maxClientCnxns=11", "minSessionTimeout=4000", "maxSessionTimeout=50000"):
        assert line in said.splitlines(), said


def directories_may_be_elsewhere():
    name = start("--env=ZOO_DATA_DIR=/d", "--env=ZOO_DATA_LOG_DIR=/l", "--env=ZOO_CONF_DIR=/c", "--env=ZOOCFGDIR=/c",
                 *[f"--tmpfs={place}:uid=1000" for place in ("/d", "/l", "/c")], IMAGE)
    client(address(name)).stop()
    assert docker("exec", name, "ls", "/d/ferrokeeper", "/l/ferrokeeper").strip()


def own_configuration_file():
    text = "dataDir=/data\nclientPort=2181\ntickTime=1234\n"
    (WORK / "own.cfg").write_text(text)
    name = start("--volume", f"{WORK}/own.cfg:/conf/zoo.cfg:ro", IMAGE)
    client(address(name)).stop()
    assert config(name) == text.splitlines()


def a_wrong_configuration_says_where():
    name = start("--env=ZOO_CFG_EXTRA=initLimit=many", IMAGE)
    assert docker("wait", name) == "2"
    said = run("docker", "logs", name).stderr
    assert "initLimit" in said and "/conf/zoo.cfg:" in said, said


def the_volume_of_a_java_server():
    """A Java server fills a directory; the container that is given it serves what was there."""
    data, logs = WORK / "java-data", WORK / "java-logs"
    (WORK / "java.cfg").write_text(f"dataDir={data}\ndataLogDir={logs}\nclientPort=0\nclientPortAddress=127.0.0.1\n"
                                   "admin.enableServer=false\n")
    log = open(WORK / "java.log", "w+")
    server = subprocess.Popen(["java", "-cp", os.environ["CLASSPATH_JAVA"],
                               "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(WORK / "java.cfg")],
                              stdout=log, stderr=subprocess.STDOUT)
    try:
        listening = lambda: listening_port(server.pid)
        zk = client(f"127.0.0.1:{until(listening, 'the Java server listens')}")
        for i in range(50):
            zk.create(f"/from-java/{i}", str(i).encode(), makepath=True)
        stat = zk.exists("/from-java")
        zk.stop()
    finally:
        server.kill()
        server.wait()
        log.close()
    name = start("--volume", f"{data}:/data", "--volume", f"{logs}:/datalog", IMAGE)
    zk = client(address(name))
    assert sorted(map(int, zk.get_children("/from-java"))) == list(range(50))
    assert zk.exists("/from-java") == stat
    zk.create("/from-java/here")
    zk.stop()
    docker("restart", name)
    zk = client(address(name))
    assert zk.exists("/from-java/here"), "the import is done once"
    zk.stop()


def listening_port(pid):
    """The port of 127.0.0.1 on which a process listens."""
    sockets = set()
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(os.readlink(fd))
        except OSError:
            pass
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                return int(fields[1].split(":")[1], 16)
    return None


def a_cluster_of_three():
    compose = ["docker-compose", "--project-name", f"fk{os.getpid()}", "--file", str(PROJECT / "docker/compose.yaml")]
    environment = {**os.environ, "ZOO1_PORT": "0", "ZOO2_PORT": "0", "ZOO3_PORT": "0"}
    run(*compose, "up", "--detach", env=environment)
    try:
        ids = {i: run(*compose, "ps", "--quiet", f"zoo{i}", env=environment).stdout.strip() for i in (1, 2, 3)}
        modes = lambda: {i: mode(name) for i, name in ids.items()}
        until(lambda: sorted(filter(None, modes().values())) == ["follower", "follower", "leader"], "one leads, two follow")
        # A port is another one after each start.
        addresses = lambda: [address(name) for name in ids.values()]
        zk = client(",".join(addresses()))
        states = []
        zk.add_listener(states.append)
        zk.create("/counter", b"0")
        zk.create("/mine", ephemeral=True)
        leader = next(i for i, seen in modes().items() if seen == "leader")
        docker("kill", ids[leader])
        for i in range(1, 51):
            zk.retry(zk.set, "/counter", str(i).encode())
        assert zk.exists("/mine"), "the session outlived the leader"
        assert KazooState.LOST not in states, states
        docker("start", ids[leader])
        until(lambda: sorted(filter(None, modes().values())) == ["follower", "follower", "leader"], "it comes back")
        back = client(address(ids[leader]))
        back.sync("/counter")
        assert back.get("/counter")[0] == b"50"
        back.stop()
        zk.stop()
        # All of it at once, with the volumes kept.
        run(*compose, "down", env=environment)
        run(*compose, "up", "--detach", env=environment)
        ids = {i: run(*compose, "ps", "--quiet", f"zoo{i}", env=environment).stdout.strip() for i in (1, 2, 3)}
        until(lambda: "leader" in modes().values(), "the cluster starts again")
        zk = client(",".join(addresses()))
        assert zk.get("/counter")[0] == b"50"
        zk.stop()
    finally:
        run(*compose, "down", "--volumes", "--timeout", "5", env=environment, check=False)


def pods_of_the_manifest():
    """The pod's command, variables, user, restrictions and probes, as the manifest has them, without a Kubernetes."""
    to_json = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)"
    documents = json.loads(run("/usr/bin/python3", "-c", to_json, str(PROJECT / "docker/kubernetes.yaml")).stdout)
    stateful = next(d["spec"] for d in documents if d["kind"] == "StatefulSet")
    pod = stateful["template"]["spec"]
    server = pod["containers"][0]
    assert server["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                         "capabilities": {"drop": ["ALL"]}}
    network = f"fk-pods-{os.getpid()}"
    docker("network", "create", network)
    try:
        names = []
        for i in range(stateful["replicas"]):
            host = f"ferrokeeper-{i}"
            names.append(start(
                "--network", network, "--hostname", host, "--network-alias", f"{host}.{stateful['serviceName']}",
                "--user", f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}", "--read-only",
                "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/conf:uid=1000",
                *[f"--env={e['name']}={e['value']}" for e in server["env"]],
                "--entrypoint", server["command"][0], IMAGE, *server["command"][1:]))
        passes = lambda name, probe: run("docker", "exec", name, *server[probe]["exec"]["command"], check=False).returncode == 0
        until(lambda: passes(names[0], "livenessProbe"), "alive")
        until(lambda: all(passes(name, "readinessProbe") for name in names), "ready")
        assert sorted(map(mode, names)) == ["follower", "follower", "leader"]
        docker("kill", names[1], names[2])
        until(lambda: not passes(names[0], "readinessProbe"), "without a quorum it is not ready")
        assert passes(names[0], "livenessProbe"), "without a quorum it is alive"
    finally:
        for name in made:
            docker("rm", "--force", "--volumes", name, check=False)
        made.clear()
        docker("network", "rm", network, check=False)


TESTS = [alone_without_any_variable, any_user_will_do, every_variable_has_its_line, directories_may_be_elsewhere,
         own_configuration_file, a_wrong_configuration_says_where, the_volume_of_a_java_server, a_cluster_of_three,
         pods_of_the_manifest, from_java_with_its_dashboard_and_alerts]


def main():
    tests = [test for test in TESTS if not sys.argv[1:] or test.__name__ in sys.argv[1:]]
    passed = failed = 0
    for test in tests:
        try:
            test()
            passed += 1
            print(f"ok      {test.__name__}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  {test.__name__}\n{traceback.format_exc()}", flush=True)
            for name in made:
                logs = run("docker", "logs", "--tail", "30", name, check=False)
                print(name[:12], logs.stdout, logs.stderr, sep="\n")
        finally:
            for name in made:
                docker("rm", "--force", "--volumes", name, check=False)
            made.clear()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


sys.exit(main())
