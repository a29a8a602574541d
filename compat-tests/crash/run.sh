#!/usr/bin/env bash
# Kills the server under load, again and again, and checks what it kept. Arguments go to crash.py (--help).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/env.sh"
check_server
make_work
export SERVER FERROKEEPER ZK_VERSION COMPAT_CACHE SERVER_COMMAND="$compat_root/lib/server" WORK="$work" TICK_TIME=200
PYTHONPATH="$here/../lib" PYTHONDONTWRITEBYTECODE=1 python3 "$here/crash.py" "$@"
