#!/usr/bin/env bash
# Elections among Java servers and a program that speaks the election port with the server's own code, and nothing else.
# ZK_VERSION names the Java release, ELECTION_PEER the program if it is built already. Arguments: names of tests.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/env.sh"
ensemble_classpaths
peer=${ELECTION_PEER:-$CARGO_TARGET_DIR/release/examples/election-peer}
[ -n "${ELECTION_PEER:-}" ] || (cd "$project_root" && cargo build --release --locked --workspace --example election-peer >&2)
work=$(mktemp -d)
cat > "$work/logback.xml" <<'XML'
<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %p %logger{0} %m%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="out"/></root>
</configuration>
XML
pids=()
trap 'end_all; rm -rf "$work"' EXIT
# end PID: ends a process that this suite started.
end() {
  local pid left=()
  kill -KILL "$1" 2> /dev/null || true; wait "$1" 2> /dev/null || true
  for pid in "${pids[@]}"; do [ "$pid" = "$1" ] || left+=("$pid"); done
  pids=("${left[@]}")
}
end_all() { for pid in "${pids[@]}"; do end "$pid"; done; }
# all_run: fails when a server ended by itself.
all_run() {
  local pid
  for pid in "${pids[@]}"; do
    kill -0 "$pid" 2> /dev/null || { echo "a server ended by itself:"; grep -h ERROR "$dir"/*/log | head -n 5; return 1; }
  done
}

# members ID:ROLE ...: $dir/members with free ports for each.
members() {
  local member
  for member in "$@"; do
    echo "server.${member%%:*}=127.0.0.1:$(free_port):$(free_port):${member##*:};127.0.0.1:$(free_port)"
  done > "$dir/members"
}

# java_server ID [zoo.cfg line ...]
java_server() {
  local id=$1; shift
  mkdir -p "$dir/$id/data"
  echo "$id" > "$dir/$id/data/myid"
  {
    printf '%s\n' "dataDir=$dir/$id/data" tickTime=1000 initLimit=10 syncLimit=5 admin.enableServer=false "$@"
    cat "$dir/members"
  } > "$dir/$id/zoo.cfg"
  java "-Dlogback.configurationFile=$work/logback.xml" -cp "$CLASSPATH_JAVA_3_9" \
    org.apache.zookeeper.server.quorum.QuorumPeerMain "$dir/$id/zoo.cfg" > "$dir/$id/log" 2>&1 &
  pids+=($!)
}

# our_peer ID EPOCH ZXID [FILE]: $peer_pid; what it says is in $dir/ID/said.
our_peer() {
  mkdir -p "$dir/$1"
  "$peer" "$1" "${4:-$dir/members}" "$2" "$3" > "$dir/$1/said" 2> "$dir/$1/log" &
  peer_pid=$!
  pids+=($!)
}

# says ID TEXT: waits until it said a line with this text.
says() {
  local tries
  for ((tries = 0; tries < 600; tries++)); do
    grep -q -- "$2" "$dir/$1/said" 2> /dev/null && return 0
    all_run || break
    sleep 0.1
  done
  echo "server $1 did not say: $2"
  return 1
}

# mode ID: what the Java server says about itself.
mode() {
  local port
  port=$(sed -n "s/^server.$1=.*:\([0-9]*\)$/\1/p" "$dir/members")
  python3 - "$port" <<'PY'
import socket, sys, time
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2) as s:
            s.sendall(b"srvr")
            for line in s.makefile("rb").read().decode().splitlines():
                if line.startswith("Mode: "):
                    sys.exit(print(line[6:]))
    except OSError:
        pass
    time.sleep(0.1)
sys.exit("the server did not serve within 60 s")
PY
}

# The larger number: it owns the connections.
observer_with_the_largest_number() {
  members 1:participant 2:participant 9:observer
  our_peer 9 0 0
  java_server 1; java_server 2
  says 9 "decided Observing(ServerId(2))"
  [ "$(mode 2)" = leader ]
}

# The smaller number: it is dialled back.
observer_with_the_smallest_number() {
  members 1:observer 2:participant 3:participant
  java_server 2; java_server 3
  our_peer 1 0 0
  says 1 "decided Observing(ServerId(3))"
  [ "$(mode 3)" = leader ]
}

# Its vote makes the quorum, and the other one believes it.
a_vote_elects() {
  members 1:participant 2:participant 3:participant
  our_peer 1 0 0
  java_server 3
  says 1 "decided Following(ServerId(3))"
  # Who has a leader speaks only when it is asked.
  end "$peer_pid"
  our_peer 1 0 0
  says 1 "heard 3 Leading 3"
}

# The larger history wins against the larger number: the other one votes for it.
a_longer_history_is_elected() {
  members 1:participant 2:participant 3:participant
  our_peer 1 0 5
  java_server 3
  says 1 "heard 3 Looking 1"
  says 1 "decided Leading"
}

# Voters that have a leader tell a server that is late.
a_late_voter_follows() {
  members 1:participant 2:participant 3:participant
  java_server 1; java_server 2
  [ "$(mode 2)" = leader ]
  our_peer 3 9 77
  says 3 "decided Following(ServerId(2))"
}

# Nobody has it in a configuration: it is answered all the same, with numbers on either side of theirs.
strangers_are_answered() {
  members 2:participant 3:participant
  java_server 2; java_server 3
  [ "$(mode 3)" = leader ]
  local id
  for id in 1 9; do
    { cat "$dir/members"; echo "server.$id=127.0.0.1:$(free_port):$(free_port)"; } > "$dir/with-$id"
    our_peer "$id" 0 0 "$dir/with-$id"
    says "$id" "heard 3 Leading 3"
    says "$id" "heard 2 Following 3"
  done
}

# A connection that broke is made anew, and the last message comes again.
java_comes_back() {
  members 1:participant 2:participant 3:participant
  our_peer 1 0 0
  java_server 3
  says 1 "decided Following(ServerId(3))"
  local java_pid=${pids[-1]}
  end "$java_pid"
  : > "$dir/1/said"
  java_server 3
  says 1 "heard 3 Looking 3"
  java_server 2
  [ "$(mode 3)" = leader ]
}

tests=(observer_with_the_largest_number observer_with_the_smallest_number a_vote_elects a_longer_history_is_elected
  a_late_voter_follows strangers_are_answered java_comes_back)
[ $# -eq 0 ] || tests=("$@")
for test in "${tests[@]}"; do
  dir="$work/$test"
  mkdir -p "$dir"
  # Not in a condition, where `set -e` would not hold.
  set +e
  (set -e; pids=(); trap end_all EXIT; "$test")
  status=$?
  set -e
  if [ "$status" = 0 ]; then
    passed=$((passed + 1)); echo "ok     $test"
  else
    failed=$((failed + 1)); echo "FAILED $test"
    tail -n 8 "$dir"/*/said "$dir"/*/log || true
  fi
done
tally
