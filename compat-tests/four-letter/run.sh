#!/usr/bin/env bash
# Four-letter words: sends every word to the server that SERVER names and checks the answers line by
# line. Needs python3 only; with SERVER=java also Java and Maven.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../lib/env.sh"
# Dates in `dump` are printed in the server's time zone.
export TZ=UTC

work=$(mktemp -d)
server_pid=
trap '[ -z "$server_pid" ] || stop_server; rm -rf "$work"' EXIT

# with_server CHECKS [zoo.cfg line ...]
with_server() {
  local checks=$1 port; shift
  port=$(free_port)
  start_server "$work/$checks" "$port" "$@"
  python3 "$here/check.py" "$checks" "$port" "$work/$checks" "$SERVER" | tee "$work/$checks/checks"
  stop_server
  server_pid=
}

with_server all-words
with_server some-words "4lw.commands.whitelist=ruok, stat ,nonsense"
JVMFLAGS="${JVMFLAGS:-} -Dreadonlymode.enabled=true" with_server read-only-mode "4lw.commands.whitelist=conf"
echo "$(cat "$work"/*/checks | wc -l) passed, 0 failed"
