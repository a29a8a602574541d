#!/usr/bin/env bash
# The suite of the Go client (github.com/go-zookeeper/zk). Arguments go to `go test`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../lib/env.sh"
check_server
make_work
command -v go > /dev/null || die "the Go toolchain is missing (https://go.dev/dl, or apt-get install golang-go)"

export SERVER FERROKEEPER ZK_VERSION COMPAT_CACHE SERVER_COMMAND="$compat_root/lib/server" WORK="$work"
status=0
(cd "$here" && go test -count=1 -timeout 10m -json "$@" ./... > "$work/events.json") || status=$?
python3 - "$work/events.json" "$status" <<'PY'
import json, sys
passed = failed = 0
output = {}
for line in open(sys.argv[1]):
    event = json.loads(line)
    test, action = event.get("Test"), event["Action"]
    if action == "output" or action == "build-output":
        output.setdefault(test, []).append(event["Output"])
    if test is None or action not in ("pass", "fail", "skip"):
        continue
    print(f"{action} {test} ({event.get('Elapsed', 0)} s)")
    passed += action == "pass"
    failed += action != "pass"
    if action != "pass":
        print("".join(output.get(test, [])), end="")
if sys.argv[2] != "0" and not failed:
    print("".join(line for lines in output.values() for line in lines), end="")
    failed += 1
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed or not passed else 0)
PY
