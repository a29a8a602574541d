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
python3 "$here/report.py" "$work/events.json" "$status"
