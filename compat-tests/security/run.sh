#!/usr/bin/env bash
# Who may do what, every CVE of ZooKeeper, and malformed input at every port.
#
#   security/run.sh                          all of it
#   security/run.sh grants watches           these alone: grants, watches, routes, cves, malformed
#   security/run.sh malformed --help         longer, with another seed, at one port
#   SERVER=java security/run.sh grants       the same tables against the Java server (not: cves, malformed)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/env.sh"
check_server
CLASSPATH_JAVA=
[ "$SERVER" = ferrokeeper ] || CLASSPATH_JAVA=$(java_admin_classpath)
make_work
export SERVER CLASSPATH_JAVA FERROKEEPER WORK="$work" PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$here/../lib:$here/../ensemble"
parts=(grants watches routes)
[ "$SERVER" = java ] || parts+=(cves malformed)
arguments=()
if [ "${1:-}" = malformed ]; then
  parts=(malformed) arguments=("${@:2}")
elif [ $# -gt 0 ]; then
  parts=("$@")
fi
failed=0
for part in "${parts[@]}"; do
  echo "-- $part"
  python3 "$here/$part.py" "${arguments[@]}" || failed=1
done
exit "$failed"
