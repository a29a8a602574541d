#!/usr/bin/env bash
# What the Go client's tests call to start their servers: `zkServer.sh start-foreground CONFIG`.
set -euo pipefail
[ $# -eq 2 ] && [ "$1" = start-foreground ] || { echo "zkServer.sh: unexpected arguments: $*" >&2; exit 2; }
. "$COMPAT_ENV"
dir=$(dirname "$2")
[ "$2" = "$dir/zoo.cfg" ] || { echo "zkServer.sh: unexpected name of a configuration: $2" >&2; exit 2; }
JVMFLAGS="${SERVER_JVMFLAGS:-}" exec_server "$dir"
