#!/usr/bin/env bash
# Backups of a server under load, restored to exact transactions and times; and who changed what. Arguments: names of
# tests.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/env.sh"
SERVER=ferrokeeper
check_server
make_work
CLASSPATH_JAVA=$(java_classpath "$ZK_VERSION")
export FERROKEEPER CLASSPATH_JAVA WORK="$work" PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$here/../lib"
python3 -W ignore "$here/backup.py" "$@"
