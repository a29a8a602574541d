#!/usr/bin/env bash
# The limits on large requests, on requests in process and on sessions that begin. Arguments: names of tests.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/env.sh"
make_work
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$here/../lib"

# suite NAME [zoo.cfg line ...]: runs the tests of that name in throttle.py against a server of its own.
suite() {
  local name=$1 port failed_before=$failed; shift
  port=$(free_port)
  start_server "$work/$name" "$port" "$@"
  check "$name" python3 "$here/throttle.py" "$name" "$port"
  [ "$failed" = "$failed_before" ] || tail -n 20 "$work/$name/server.log"
  stop_server
}

suite large largeRequestThreshold=1000 largeRequestMaxBytes=5000
suite large_in_flight largeRequestThreshold=1000 largeRequestMaxBytes=5000 flushDelay=1000
suite late flushDelay=1500 request_throttle_max_requests=1 throttled_op_wait_time=200
suite stale flushDelay=1500 request_throttle_max_requests=1
suite stale_kept flushDelay=1500 request_throttle_max_requests=1 request_throttle_drop_stale=false
suite crowd request_throttle_max_requests=2 request_throttle_stall_time=20
suite tokens connection_throttle_tokens=3 connection_throttle_fill_time=3600000
suite refill connection_throttle_tokens=1 connection_throttle_fill_time=300
suite weights connection_throttle_tokens=2 connection_throttle_fill_time=3600000 \
  connection_throttle_weight_enabled=true
suite chance connection_throttle_tokens=1 connection_throttle_fill_time=3600000 connection_throttle_freeze_time=0 \
  connection_throttle_drop_increase=1.0
tally
