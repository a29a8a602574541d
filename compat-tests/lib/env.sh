# Shared by every suite; source it from bash with `set -euo pipefail` on.
#
#   SERVER        ferrokeeper (default) or java: which server the suite drives
#   FERROKEEPER   the server's binary (default: the release build of this checkout)
#   ZK_VERSION    the Java release to compare with (default below)
#   COMPAT_CACHE  downloads and generated files (default: target/compat)
#   TICK_TIME     tickTime of the servers, in ms (default 2000)

compat_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
project_root=$(dirname "$compat_root")
: "${SERVER:=ferrokeeper}"
: "${CARGO_TARGET_DIR:=$project_root/target}"
: "${FERROKEEPER:=$CARGO_TARGET_DIR/release/ferrokeeper}"
: "${ZK_VERSION:=3.9.5}"
: "${COMPAT_CACHE:=$CARGO_TARGET_DIR/compat}"
mkdir -p "$COMPAT_CACHE"

die() { echo "error: $*" >&2; exit 1; }

# free_port: a TCP port of 127.0.0.1 that nobody listens on.
free_port() { python3 "$compat_root/lib/ports.py"; }

# maven_classpath NAME GROUP:ARTIFACT:VERSION ...: the class path of these and of what they need, from Maven Central.
maven_classpath() {
  local name=$1 dir="$COMPAT_CACHE/$1" group artifact version
  shift
  if [ ! -s "$dir/classpath" ]; then
    mkdir -p "$dir"
    {
      echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
      echo "<groupId>compat</groupId><artifactId>$name</artifactId><version>1</version><packaging>pom</packaging><dependencies>"
      for artifact in "$@"; do
        IFS=: read -r group artifact version <<< "$artifact"
        echo "<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version></dependency>"
      done
      echo '</dependencies></project>'
    } > "$dir/pom.xml"
    (cd "$dir" && mvn -q -B dependency:build-classpath -Dmdep.outputFile=classpath.tmp >&2 && mv classpath.tmp classpath)
  fi
  cat "$dir/classpath"
}

# java_classpath VERSION: the class path of that ZooKeeper release (server and client).
java_classpath() {
  maven_classpath "zookeeper-$1" "org.apache.zookeeper:zookeeper:$1" io.dropwizard.metrics:metrics-core:4.1.12.1 \
    org.xerial.snappy:snappy-java:1.1.10.5 commons-cli:commons-cli:1.5.0
}

# java_admin_classpath: that of the release with what it leaves to its packagers: the AdminServer's libraries.
java_admin_classpath() {
  maven_classpath "zookeeper-admin-$ZK_VERSION" "org.apache.zookeeper:zookeeper:$ZK_VERSION" \
    io.dropwizard.metrics:metrics-core:4.1.12.1 org.xerial.snappy:snappy-java:1.1.10.5 commons-cli:commons-cli:1.5.0 \
    org.eclipse.jetty:jetty-server:9.4.58.v20250814 org.eclipse.jetty:jetty-servlet:9.4.58.v20250814 \
    com.fasterxml.jackson.core:jackson-databind:2.18.1
}

# java_monitored_classpath: that of the release with an exporter for Prometheus, which not every release has there.
java_monitored_classpath() {
  maven_classpath "zookeeper-monitored-$ZK_VERSION" "org.apache.zookeeper:zookeeper:$ZK_VERSION" \
    org.apache.zookeeper:zookeeper-prometheus-metrics:3.9.4 io.dropwizard.metrics:metrics-core:4.1.12.1 \
    org.xerial.snappy:snappy-java:1.1.10.5 commons-cli:commons-cli:1.5.0 \
    org.eclipse.jetty:jetty-server:9.4.58.v20250814 org.eclipse.jetty:jetty-servlet:9.4.58.v20250814 \
    com.fasterxml.jackson.core:jackson-databind:2.18.1
}

# ensemble_classpaths: CLASSPATH_JAVA_3_9 and CLASSPATH_JAVA_3_8 for ensemble/cluster.py.
: "${ZK_VERSION_38:=3.8.6}"
ensemble_classpaths() {
  CLASSPATH_JAVA_3_9=$(java_classpath "$ZK_VERSION")
  CLASSPATH_JAVA_3_8=$(java_classpath "$ZK_VERSION_38")
  CLASSPATH_JAVA_3_9+=:$(logback)
  export CLASSPATH_JAVA_3_9 CLASSPATH_JAVA_3_8 FERROKEEPER PYTHONDONTWRITEBYTECODE=1
}

# Releases leave the logging library to their packagers from 3.9.4 on; the older one's serves both.
logback() { tr : '\n' <<< "$CLASSPATH_JAVA_3_8" | grep '/logback-[^/]*\.jar$' | paste -sd :; }

# wait_ready PORT PID: returns once the server on PORT answers a session handshake's precondition (srvr), fails if PID ends.
wait_ready() {
  local port=$1 pid=$2
  python3 - "$port" "$pid" <<'PY'
import os, socket, sys, time
port, pid = int(sys.argv[1]), int(sys.argv[2])
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        sys.exit("the server ended before it served")
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as s:
            s.sendall(b"srvr")
            if b"Mode:" in s.makefile("rb").read():
                sys.exit(0)
    except OSError:
        pass
    time.sleep(0.02)
sys.exit("the server did not serve within 60 s")
PY
}

# write_zoo_cfg DIR PORT [zoo.cfg line ...]: DIR/zoo.cfg of a standalone server with its data under DIR.
write_zoo_cfg() {
  local dir=$1 port=$2; shift 2
  mkdir -p "$dir"
  {
    echo "dataDir=$dir/data"
    echo "clientPort=$port"
    echo "clientPortAddress=127.0.0.1"
    echo "tickTime=${TICK_TIME:-2000}"
    echo "admin.enableServer=false"
    echo "4lw.commands.whitelist=*"
    echo "maxClientCnxns=0"
    printf '%s\n' "$@"
  } > "$dir/zoo.cfg"
}

# exec_server DIR: becomes the server that SERVER names, on DIR/zoo.cfg. Its process id is noted in DIR/server.pid and
# its output goes to DIR/server.log. JVMFLAGS is honoured by both servers.
exec_server() {
  local dir=$1
  echo "$BASHPID" > "$dir/server.pid"
  exec >> "$dir/server.log" 2>&1
  case $SERVER in
    ferrokeeper)
      exec "$FERROKEEPER" server "$dir/zoo.cfg" ;;
    java)
      # shellcheck disable=SC2086
      exec java ${JVMFLAGS:-} -cp "$(java_classpath "$ZK_VERSION")" \
        org.apache.zookeeper.server.quorum.QuorumPeerMain "$dir/zoo.cfg" ;;
  esac
}

# check NAME COMMAND ...: one test. `tally`, at the end of a suite of such tests, tells how many passed, and fails when one
# did not.
passed=0 failed=0
check() {
  if "${@:2}"; then
    passed=$((passed + 1)); echo "ok     $1"
  else
    failed=$((failed + 1)); echo "FAILED $1"
  fi
}
tally() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}

# check_server: fails early, with what to do, if the server that SERVER names cannot be started.
check_server() {
  case $SERVER in
    ferrokeeper) [ -x "$FERROKEEPER" ] || die "no server binary at $FERROKEEPER (cargo build --release)" ;;
    java) command -v java > /dev/null || die "SERVER=java needs a java command"
          java_classpath "$ZK_VERSION" > /dev/null ;;
    *) die "SERVER must be ferrokeeper or java, not '$SERVER'" ;;
  esac
}

# start_server DIR PORT [zoo.cfg line ...]: starts the server that SERVER names on an existing or new DIR,
# waits until it serves and sets server_pid. Output goes to DIR/server.log.
start_server() {
  local dir=$1 port=$2
  check_server
  write_zoo_cfg "$@"
  exec_server "$dir" &
  server_pid=$!
  wait_ready "$port" "$server_pid" || { tail -n 40 "$dir/server.log" >&2; die "cannot start $SERVER"; }
}

# make_work: a temporary directory in $work. When the suite ends, whatever way, the servers that still run below it
# are killed and it is removed.
make_work() {
  work=$(mktemp -d)
  trap 'kill_servers_below "$work"; rm -rf "$work"' EXIT
}
kill_servers_below() {
  local file pid
  find "$1" -name server.pid 2>/dev/null | while read -r file; do
    pid=$(cat "$file")
    # The command line names the configuration file, so a number that was reused is left alone.
    if tr '\0' '\n' 2>/dev/null < <(cat "/proc/$pid/cmdline" 2>/dev/null) | grep -qxF "$(dirname "$file")/zoo.cfg"; then
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done
}

# stop_server [PID]: ends a server that start_server started, and waits for it.
stop_server() {
  local pid=${1:-$server_pid}
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}
