#!/usr/bin/env bash
# Runs Kazoo's own test suite, as published, against the server that SERVER names.
# Arguments go to pytest (for instance -k test_lock). KAZOO_SERVERS=3 makes it an ensemble of three.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/env.sh"

: "${KAZOO_SERVERS:=1}"
. "$here/install.sh"

make_work
check_server

REAL_JAVA=$(command -v java || true)
mkdir "$work/bin" "$work/tmp"
cp "$here/java-shim" "$work/bin/java"
export SERVER FERROKEEPER REAL_JAVA TMPDIR="$work/tmp" PATH="$work/bin:$PATH"
ZOOKEEPER_CLASSPATH=unused
[ "$SERVER" = ferrokeeper ] || ZOOKEEPER_CLASSPATH=$(java_classpath "$ZK_VERSION")

# The harness takes five consecutive ports for each server from an offset; below the range the kernel hands out itself,
# so that no outgoing connection sits on one of them.
ZOOKEEPER_PORT_OFFSET=$(python3 - "$KAZOO_SERVERS" <<'PY'
import random, socket, sys
for _ in range(1000):
    base = random.randrange(10000, 32000, 10)
    try:
        for port in range(base, base + 10 * int(sys.argv[1])):
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
    except OSError:
        continue
    print(base)
    sys.exit()
sys.exit("not enough consecutive free ports")
PY
)
# One server without peers is a standalone server. CI=1 includes the test of the server's version.
export CI=1 ZOOKEEPER_CLASSPATH ZOOKEEPER_PORT_OFFSET ZOOKEEPER_CLUSTER_SIZE="$KAZOO_SERVERS" ZOOKEEPER_VERSION="$ZK_VERSION"

deselect=()
section=
while read -r test reason; do
  case $test in
    ''|'#'*) ;;
    '['*) section=$test ;;
    *)
      case $section in
        '[ensemble]') [ "$KAZOO_SERVERS" = 1 ] || continue ;;
        *) [ "$SERVER" = ferrokeeper ] || continue ;;
      esac
      deselect+=("--deselect=$test")
      echo "left out: $test $reason" ;;
  esac
done < "$here/left-out.txt"

# Kazoo's own pytest options switch live logging on; only that is turned off again.
status=0
(cd "$tools/kazoo-$kazoo_version" && PYTHONDONTWRITEBYTECODE=1 "$tools/venv/bin/python" -m pytest -p no:cacheprovider \
  -o log_cli=false --color=no --junitxml="$work/report.xml" "${deselect[@]}" kazoo/tests "$@") || status=$?

[ -s "$work/report.xml" ] || die "pytest wrote no report (exit status $status)"
python3 - "$work/report.xml" "$status" <<'PY'
import sys
import xml.etree.ElementTree as ET
suite = ET.parse(sys.argv[1]).getroot().find("testsuite")
total, skipped = int(suite.get("tests")), int(suite.get("skipped"))
failed = int(suite.get("failures")) + int(suite.get("errors"))
passed = total - skipped - failed
for case in suite.iter("testcase"):
    for skip in case.findall("skipped"):
        print(f"skipped: {case.get('classname')}.{case.get('name')}: {skip.get('message')}")
print(f"{passed} passed, {failed} failed")
if passed == 0:
    sys.exit("error: no test ran")
sys.exit(1 if failed or sys.argv[2] != "0" else 0)
PY
