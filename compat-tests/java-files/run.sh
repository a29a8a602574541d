#!/usr/bin/env bash
# A Java server's data directory is taken over, and one is given back: every node with its data, ACL list and stat, the
# sessions, and the digests that each server's transactions carry.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib/env.sh"
cp=$(java_classpath "$ZK_VERSION")
SERVER=ferrokeeper check_server
make_work
export JVMFLAGS="-Dzookeeper.extendedTypesEnabled=true"
passed=0
mkdir -p "$work/classes"
javac -nowarn -cp "$cp" -d "$work/classes" "$here/Files.java"

client() { java -Dslf4j.internal.verbosity=ERROR -cp "$work/classes:$cp" Files "$@"; }
# with SERVER DIR COMMAND...: runs the server on DIR, and the command with its address in $address; kills it.
with() {
  local SERVER=$1 dir=$2 port; shift 2
  port=$(free_port)
  # Snapshots are taken under load: they show some of what came later.
  start_server "$dir" "$port" "snapCount=200"
  address=127.0.0.1:$port
  "$@"
  mismatches
  # The hard way: nothing is written at the end.
  kill -KILL "$server_pid"; wait "$server_pid" 2>/dev/null || true
}
mismatches() {
  local count
  count=$(python3 - "${address##*:}" <<'PY'
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10) as s:
    s.sendall(b"mntr")
    text = s.makefile("rb").read().decode()
print([l.split("\t")[1] for l in text.splitlines() if l.startswith("zk_digest_mismatches_count")][0])
PY
)
  [ "$count" = 0 ] || die "$SERVER counts $count digests that differ"
  ok "$SERVER: digests in the transactions are those of the tree"
}
fill() { client fill "$address" "$1"; }
dump() { client dump "$address" > "$work/$1"; [ "$(wc -l < "$work/$1")" -ge 200 ] || die "only $(wc -l < "$work/$1") nodes"; }
same() { diff -u "$work/$1" "$work/$2" | head -20 && cmp -s "$work/$1" "$work/$2" || die "$1 and $2 differ"; ok "$3"; }
ok() { passed=$((passed + 1)); echo "ok   $1"; }
both() { fill "$1"; dump "$2"; }

# Over: in place, the Java files stay as they are.
with java "$work/a" both one java-1
sums() { (cd "$work/a/data/version-2" && sha256sum -- *); }
before=$(sums)
if "$FERROKEEPER" "$work/a/zoo.cfg" > "$work/refusal" 2>&1; then die "it starts on Java's files"; fi
grep -q "ferrokeeper import" "$work/refusal" || die "it does not say what to do: $(cat "$work/refusal")"
ok "a Java directory is not started from by accident"
write_zoo_cfg "$work/a" 2181 "extendedTypesEnabled=true"
"$FERROKEEPER" import "$work/a/zoo.cfg" 2> "$work/import.err" || die "import: $(cat "$work/import.err")"
[ ! -s "$work/import.err" ] || die "import complains: $(cat "$work/import.err")"
[ "$before" = "$(sums)" ] || die "import changed Java's files"
ok "import reads everything, finds the digests right, and changes nothing"
if "$FERROKEEPER" import "$work/a/zoo.cfg" 2> "$work/again"; then die "it imports twice"; fi
ok "nothing is imported over data that is there"
with ferrokeeper "$work/a" dump ours-1
same java-1 ours-1 "the tree that was imported is Java's"
with ferrokeeper "$work/a" both two ours-2

# Back.
write_zoo_cfg "$work/a" 2181 "extendedTypesEnabled=true"
"$FERROKEEPER" export "$work/a/zoo.cfg" "$work/b/data" 2> "$work/export.err" || die "export: $(cat "$work/export.err")"
[ ! -s "$work/export.err" ] || die "export complains: $(cat "$work/export.err")"
with java "$work/b" dump java-2
same ours-2 java-2 "the tree that was exported is ours"
with java "$work/b" both three java-3
write_zoo_cfg "$work/b" 2181 "extendedTypesEnabled=true"
"$FERROKEEPER" import "$work/b/zoo.cfg" 2> "$work/import.err" || die "import: $(cat "$work/import.err")"
[ ! -s "$work/import.err" ] || die "import complains: $(cat "$work/import.err")"
with ferrokeeper "$work/b" dump ours-3
same java-3 ours-3 "and once more, with files of both"
echo "$passed passed, 0 failed"
