#!/usr/bin/env bash
# The suite of the C client (libzookeeper, as Debian ships it). Arguments are names of tests to run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../lib/env.sh"
check_server
make_work

sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
if [ ! -e /usr/include/zookeeper/zookeeper.h ]; then
  $sudo apt-get update -q >&2 && $sudo apt-get install -qy libzookeeper-mt-dev >&2
fi
command -v cc > /dev/null || $sudo apt-get install -qy gcc libc6-dev >&2

cc -std=gnu11 -O1 -g -Wall -Wextra -Werror -DTHREADED -o "$work/suite" "$here"/*.c -lzookeeper_mt -lpthread
export SERVER FERROKEEPER ZK_VERSION COMPAT_CACHE SERVER_COMMAND="$compat_root/lib/server" WORK="$work"
export JVMFLAGS="${JVMFLAGS:-} -Dznode.container.checkIntervalMs=500"
"$work/suite" "$@"
