#!/usr/bin/env bash
# The suite of the Node client (node-zookeeper-client). Arguments go to `node --test`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../lib/env.sh"
check_server
make_work

sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
command -v npm > /dev/null || { $sudo apt-get update -q && $sudo apt-get install -qy nodejs npm; } >&2

# Installed beside the cache, so that the checkout stays clean.
cp "$here/package.json" "$here/package-lock.json" "$here/harness.js" "$work/"
cp -r "$here/test" "$work/test"
(cd "$work" && npm ci --no-audit --no-fund --loglevel=error --cache "$COMPAT_CACHE/npm") >&2

export SERVER FERROKEEPER ZK_VERSION COMPAT_CACHE SERVER_COMMAND="$compat_root/lib/server" WORK="$work"
status=0
(cd "$work" && timeout 600 node --test --test-reporter=tap "$@" test/*.test.js) > "$work/report" || status=$?
cat "$work/report"
count() { sed -n "s/^# $1 //p" "$work/report" | tail -1; }
passed=$(count pass) failed=$(($(count fail) + $(count cancelled) + $(count skipped) + $(count todo)))
echo "$passed passed, $failed failed"
[ "$status" = 0 ] && [ "$failed" = 0 ] && [ "$passed" != 0 ]
