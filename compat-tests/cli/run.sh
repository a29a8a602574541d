#!/usr/bin/env bash
# The client: the same commands through Java's and through ours, against one server (SERVER=java: Java's). Arguments:
# names of tests.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/env.sh"
make_work
[ -x "$FERROKEEPER" ] || die "no binary at $FERROKEEPER (cargo build --release)"
CLASSPATH_JAVA=$(java_classpath "$ZK_VERSION")
export FERROKEEPER CLASSPATH_JAVA CLI_HOME="$work" PYTHONDONTWRITEBYTECODE=1
port=$(free_port)
start_server "$work/server" "$port" extendedTypesEnabled=true
status=0
python3 -W ignore "$here/cli.py" "$port" "$@" || status=$?
stop_server
exit "$status"
