#!/bin/bash
# start-server.sh java|ferrokeeper DIR [zoo.cfg line ...]
# Starts that server on a free port, prints the port, and ends the server when its own input ends.
# With several kinds, separated by commas, it is an ensemble: see start-ensemble.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
case $1 in *,*) exec python3 "$here/start-ensemble.py" "$@" ;; esac
SERVER=$1 dir=$2
shift 2
source "$here/../lib/env.sh"
rm -rf "$dir"
port=$(free_port)
start_server "$dir" "$port" "$@" </dev/null
echo "$port"
exec 1>&2
# Ends with the caller's pipe, or with the server. (bash gives background jobs an empty input of their own.)
exec 3<&0
cat <&3 > /dev/null &
watcher=$!
wait -n "$server_pid" "$watcher" || true
stop_server
kill "$watcher" 2>/dev/null || true
