#!/usr/bin/env bash
# The suite of the Go client (github.com/go-zookeeper/zk). Arguments go to `go test`.
#
#   run.sh upstream [...]   the client's own test suite, as published; most of its tests start three servers
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../lib/env.sh"
check_server
make_work
command -v go > /dev/null || die "the Go toolchain is missing (https://go.dev/dl, or apt-get install golang-go)"
export SERVER FERROKEEPER ZK_VERSION COMPAT_CACHE

# published: the client's module with its tests, ready to be run, in $work/zk.
published() {
  local version module
  version=$(awk '$1 == "github.com/go-zookeeper/zk" || $2 == "github.com/go-zookeeper/zk" {print $NF}' "$here/go.mod")
  module=$(cd "$here" && go mod download -json "github.com/go-zookeeper/zk@$version" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')
  cp -r "$module" "$work/zk"
  chmod -R u+w "$work/zk"
  # The client reads the build's date as servers up to 3.6 print it; from 3.7 on nobody passes without this.
  sed -i -e 's|\\d\\d/\\d\\d/\\d\\d\\d\\d|\\d\\d\\d\\d-\\d\\d-\\d\\d|' -e 's|"01/02/2006 15:04 MST"|"2006-01-02 15:04 MST"|' "$work/zk/flw.go"
  grep -q '2006-01-02' "$work/zk/flw.go" || die "the client's flw.go has changed"
  mkdir "$work/bin" "$work/tmp"
  cp "$here/zkServer.sh" "$work/bin/"
}

if [ "${1:-}" = upstream ]; then
  shift
  published
  export COMPAT_ENV="$compat_root/lib/env.sh" ZOOKEEPER_BIN_PATH="$work/bin" TMPDIR="$work/tmp"
  # TestFLWSrvr reads such a date of its own.
  dir="$work/zk" packages=. options=(-skip "^TestFLWSrvr$")
else
  export SERVER_COMMAND="$compat_root/lib/server" WORK="$work"
  dir=$here packages=./... options=()
fi
status=0
(cd "$dir" && go test -count=1 -timeout 10m -json "${options[@]}" "$@" "$packages" > "$work/events.json") || status=$?
python3 "$here/report.py" "$work/events.json" "$status"
