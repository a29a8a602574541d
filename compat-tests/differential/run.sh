#!/bin/bash
# Compares two servers: LEFT (default java) and RIGHT (default ferrokeeper), each java or ferrokeeper, or several kinds
# of ensemble/cluster.py, separated by commas: an ensemble, whose first server leads.
# Arguments go to the program: --ops N --seed S --config NAME --replay FILE --report FILE --deliberate ...
#   run.sh ensembles [ARGUMENT ...]   a Java ensemble against one of Ferrokeeper, and against mixed ones
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib/env.sh"
: "${LEFT:=java}" "${RIGHT:=ferrokeeper}"
if [ "${1:-}" = ensembles ]; then
  shift
  [ $# -gt 0 ] || set -- --config plain --ops "${ENSEMBLE_OPS:-1500}"
  export LEFT=java,java,java
  # One release of Java on both sides: 3.8 says no zxid in notifications, and takes other kinds of watches for bad arguments.
  for RIGHT in ferrokeeper,ferrokeeper,ferrokeeper java,ferrokeeper,ferrokeeper ferrokeeper,java,java; do
    echo "== $LEFT and $RIGHT"
    RIGHT=$RIGHT "${BASH_SOURCE[0]}" "$@"
  done
  exit
fi
(cd "$project_root" && cargo build --release --locked -q --workspace --bins)
# Downloads happen before anything is timed.
case "$LEFT$RIGHT" in *java*) java_classpath "$ZK_VERSION" > /dev/null ;; esac
case "$LEFT$RIGHT" in *,*) ensemble_classpaths ;; esac
export FERROKEEPER ZK_VERSION COMPAT_CACHE CARGO_TARGET_DIR
work=$(mktemp -d "${TMPDIR:-/tmp}/differential.XXXXXX")
trap 'rm -rf "$work"' EXIT
program="$CARGO_TARGET_DIR/release/differential"
common=(--starter "$here/start-server.sh" --directory "$work" --left "$LEFT" --right "$RIGHT")
"$program" "${common[@]}" "$@"
# The defects of the Java server, without a Java server.
if [ $# -eq 0 ] && [ "$RIGHT" = ferrokeeper ]; then
  "$program" "${common[@]}" --defects
fi
