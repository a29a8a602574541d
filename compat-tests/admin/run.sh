#!/usr/bin/env bash
# The AdminServer and the metrics endpoint, with Python's http.client and curl: the same requests to this server and to
# Java's, whose answers are the expectation; snapshots of one restored into the other; HTTPS. Arguments: names of tests.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../lib/env.sh"
check_server
CLASSPATH_JAVA=$(java_admin_classpath)
export CLASSPATH_JAVA FERROKEEPER PYTHONDONTWRITEBYTECODE=1
make_work
python3 "$here/admin.py" "$work" "$@"
