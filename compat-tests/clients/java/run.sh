#!/usr/bin/env bash
# Java clients that others wrote against the server that SERVER names: the newest official client,
# Apache Curator, and the official clients of older release lines.
#
#   run.sh [maven argument ...]     for example: run.sh -pl curator -am
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../../lib/env.sh
source "$here/../../lib/env.sh"

build="$COMPAT_CACHE/java-clients"
mkdir -p "$build"
# Reports and server directories of an earlier run must not count in this one.
find "$build" -maxdepth 2 \( -name surefire-reports -o -name servers \) -exec rm -rf {} +

classpath=
case $SERVER in
  java) classpath=$(java_classpath "$ZK_VERSION") ;;
  ferrokeeper)
    [ -x "$FERROKEEPER" ] || die "no server binary at $FERROKEEPER (cargo build --release)"
    FERROKEEPER=$(realpath "$FERROKEEPER") ;;
  *) die "SERVER must be ferrokeeper or java, not '$SERVER'" ;;
esac

status=0
# Every module runs, whatever failed in another; the reports decide below.
(cd "$here" && mvn -B -ntp -q -fae -Dmaven.test.failure.ignore=true \
  "-Dcompat.build=$build" "-Dcompat.server=$SERVER" "-Dcompat.ferrokeeper=$FERROKEEPER" \
  "-Dcompat.classpath=$classpath" "$@" test) || status=$?

python3 - "$build" "$status" <<'PY'
import glob, sys
import xml.etree.ElementTree as ET
build, status = sys.argv[1], int(sys.argv[2])
ran = failed = 0
for report in sorted(glob.glob(f"{build}/*/surefire-reports/TEST-*.xml")):
    for case in ET.parse(report).getroot().iter("testcase"):
        if case.find("skipped") is not None:
            continue
        ran += 1
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
            module = report[len(build) + 1:].split("/")[0]
            print(f"FAILED {module}: {case.get('classname')}.{case.get('name')}")
if ran == 0:
    print("error: no test ran")
print(f"{ran - failed} passed, {failed} failed", flush=True)
sys.exit(1 if failed or ran == 0 or status else 0)
PY
