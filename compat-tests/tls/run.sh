#!/usr/bin/env bash
# TLS for clients and between servers, with the tools that people use: the Java client, Kazoo, openssl s_client.
# Arguments: names of tests (default: all). SERVER=java runs those of clients against the Java server.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/env.sh"
check_server
command -v java > /dev/null || die "needs a java command"
command -v openssl > /dev/null || die "needs an openssl command"
CLASSPATH_JAVA_3_9=$(java_classpath "$ZK_VERSION")
# Releases leave the logging library to their packagers from 3.9.4 on; the older one's serves both.
CLASSPATH_JAVA_3_9+=:$(java_classpath 3.8.6 | tr : '\n' | grep '/logback-[^/]*\.jar$' | paste -sd :)
python=python3
if ! python3 -c 'import kazoo' 2> /dev/null; then
  python="$COMPAT_CACHE/tls-venv/bin/python3"
  [ -x "$python" ] || { python3 -m venv "$COMPAT_CACHE/tls-venv"; "$python" -m pip install -q kazoo==2.11.0 >&2; }
fi
make_work
export CLASSPATH_JAVA_3_9 SERVER FERROKEEPER WORK="$work" PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH="$here/../ensemble:$here/../lib"
LIST_PORT=$(free_port)
export LIST_PORT
"$here/stores.sh" "$work/stores" "$LIST_PORT"
"$python" "$here/tls.py" "$@"
