#!/usr/bin/env bash
# Ensembles of Ferrokeeper and of Java servers, alone and together, under load and under accidents.
#
#   ensemble/run.sh                      the scenarios of suite.txt
#   ensemble/run.sh --long               those of long.txt: every role beside every release, takes about an hour
#   ensemble/run.sh --help               scenarios by name, with any mix of implementations
#   ensemble/run.sh failover --help      how long an ensemble is without a leader
#   ensemble/run.sh sessions --help      local sessions and read-only mode
#   ensemble/run.sh sasl --help          members and clients that authenticate
#   ensemble/run.sh observer-masters     observers that followers serve
#
# The kind `debian` is the package zookeeper's server (libzookeeper-java), and ZK_SERVER_SH the original's script (default:
# the package zookeeper's); scenarios are left out where that is not installed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/env.sh"
: "${CURATOR_VERSION:=5.9.0}" "${ZK_SERVER_SH:=/usr/share/zookeeper/bin/zkServer.sh}"
command -v java > /dev/null || die "needs a java command"
ensemble_classpaths
CLASSPATH_CURATOR=$(maven_classpath "curator-$CURATOR_VERSION" "org.apache.zookeeper:zookeeper:$ZK_VERSION" \
  "org.apache.curator:curator-recipes:$CURATOR_VERSION")
CLASSPATH_CURATOR+=:$(logback)
make_work
# The original's scripts of another directory look for theirs beside themselves.
ZK_SCRIPTS=
if [ -f "$ZK_SERVER_SH" ]; then
  ZK_SCRIPTS="$work/bin"
  mkdir "$ZK_SCRIPTS"
  cp "$ZK_SERVER_SH" "$ZK_SCRIPTS/zkServer.sh"
  echo 'cygwin=false JAVA=java ZOOCFGDIR=/ CLASSPATH=$CLASSPATH_JAVA_3_9' > "$ZK_SCRIPTS/zkEnv.sh"
fi
export WORK="$work" PYTHONPATH="$here/../lib" CLASSPATH_CURATOR ZK_SCRIPTS
program=scenarios.py
if [ "${1:-}" = failover ]; then program=failover.py; shift
elif [ "${1:-}" = sessions ]; then program=sessions.py; shift
elif [ "${1:-}" = --long ]; then shift; set -- --table "$here/long.txt" "$@"
elif [ "${1:-}" = sasl ]; then program=sasl.py; shift
elif [ "${1:-}" = observer-masters ]; then program=observer_masters.py; shift
elif [ $# -eq 0 ]; then set -- --table "$here/suite.txt"; fi
python3 "$here/$program" "$@"
