#!/usr/bin/env bash
# The suite of the Rust client (zookeeper-client). Arguments go to the test program.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../lib/env.sh"
check_server
make_work

export CARGO_TARGET_DIR
export SERVER FERROKEEPER ZK_VERSION COMPAT_CACHE SERVER_COMMAND="$compat_root/lib/server" WORK="$work"
export JVMFLAGS="${JVMFLAGS:-} -Dznode.container.checkIntervalMs=500"
status=0
(cd "$project_root" && timeout 1200 cargo test --release --locked --workspace --features compat-rust-client/suite --test suite -- "$@") \
  > "$work/report" || status=$?
cat "$work/report"
read -r passed failed < <(sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed;.*/\1 \2/p' "$work/report") || true
echo "${passed:-0} passed, ${failed:-1} failed"
[ "$status" = 0 ] && [ "${passed:-0}" != 0 ]
