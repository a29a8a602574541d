#!/usr/bin/env bash
# Ensembles broken for real: processes in network namespaces, killed, frozen, cut off from one another, slowed down, with
# slow, broken and full disks. Clients write down what they see; checkers judge it.
#
#   faults/run.sh                                 a few minutes: what the test command runs
#   faults/run.sh --seed 4711                     the same plan of faults again
#   faults/run.sh --rounds 20 --servers java-3.9,ferrokeeper,ferrokeeper
#
# Needs root, or user namespaces. What a failed round leaves is in FAULTS_KEPT (default: faults of the cache).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/env.sh"
: "${FAULTS_KEPT:=$COMPAT_CACHE/faults}"
for tool in ip iptables-restore nsenter unshare mount gcc; do
  command -v "$tool" > /dev/null || die "needs $tool"
done
spaces=(unshare --net --mount --pid --fork --kill-child --mount-proc)
[ "$(id -u)" -eq 0 ] || spaces+=(--map-root-user)
if ! problem=$("${spaces[@]}" true 2>&1); then
  echo "faults: 0 passed, 1 failed: this suite could not start, it may not make namespaces here (NET_ADMIN and SYS_ADMIN): $problem"
  exit 1
fi
make_work
FAULT_DISK_LIBRARY="$work/disk.so"
gcc -O2 -shared -fPIC -o "$FAULT_DISK_LIBRARY" "$here/disk.c" -ldl
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$here/../lib:$here/../ensemble:$here"
python3 -m unittest discover -q -s "$here/tests"
if [ $# -eq 0 ]; then
  # Rounds with Java servers are for runs by hand: they take longer to come back, so that less happens in the time.
  set -- --seconds 120 --servers ferrokeeper,ferrokeeper,ferrokeeper
fi
if [[ "$*" == *java* ]]; then ensemble_classpaths; fi
mkdir -p "$FAULTS_KEPT"
export FERROKEEPER FAULT_DISK_LIBRARY FAULTS_KEPT WORK="$work"
"${spaces[@]}" python3 "$here/faults.py" "$@"
