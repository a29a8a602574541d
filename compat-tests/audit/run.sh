#!/usr/bin/env bash
# The audit log in the original's form, the shapes of log lines, and that no secret gets into any of them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/env.sh"
SERVER=ferrokeeper
check_server
make_work
# With an `addauth` that the records have to keep to themselves; its hash stands in an ACL.
commands='addauth digest bob:topsecret
create /a data
create /a data
create -s /a/s- data
create -e /a/e topdata
set /a topdata
setAcl /a/e digest:bob:CzyEiIhJbEKuPbEMpx6Yi/s0Tlw=:cdrwa,world:anyone:r
delete /missing
deleteall /a/e
create -e /gone
get /a'

for shape in text json; do
  dir=$work/$shape
  port=$(free_port)
  FERROKEEPER_LOG_FORMAT=$shape start_server "$dir" "$port" audit.enable=true
  "$FERROKEEPER" cli -server "127.0.0.1:$port" --quiet <<< "$commands" > "$dir/cli.out" 2>&1 || true
  stop_server
done

records() {
  grep 'Slf4jAuditLogger' "$work/text/server.log" | sed -E 's/.* - (session=|user=)/\1/; s/0x[0-9a-f]+/0xN/'
}
expected() {
  local who=$'session=0xN\tuser=127.0.0.1,bob\tip=127.0.0.1' me
  me=$(id -un)
  printf 'user=%s\toperation=serverStart\tresult=success\n' "$me"
  printf '%s\toperation=create\tznode=/a\tznode_type=persistent\tresult=success\n' "$who"
  printf '%s\toperation=create\tznode=/a\tznode_type=persistent\tresult=failure\n' "$who"
  printf '%s\toperation=create\tznode=/a/s-0000000000\tznode_type=persistent_sequential\tresult=success\n' "$who"
  printf '%s\toperation=create\tznode=/a/e\tznode_type=ephemeral\tresult=success\n' "$who"
  printf '%s\toperation=setData\tznode=/a\tresult=success\n' "$who"
  printf '%s\toperation=setAcl\tznode=/a/e\tacl=digest:bob:cdrwa,world:anyone:r\tresult=success\n' "$who"
  printf '%s\toperation=delete\tznode=/missing\tresult=failure\n' "$who"
  printf '%s\toperation=delete\tznode=/a/e\tresult=success\n' "$who"
  printf '%s\toperation=create\tznode=/gone\tznode_type=ephemeral\tresult=success\n' "$who"
  printf 'session=0xN\tuser=%s\toperation=ephemeralZNodeDeletionOnSessionCloseOrExpire\tznode=/gone\tresult=success\n' "$me"
  printf 'user=%s\toperation=serverStop\tresult=invoked\n' "$me"
}
check records diff <(expected) <(records)
failures_are_errors() {
  grep -q 'result=failure' "$work/text/server.log" &&
    ! grep 'result=failure' "$work/text/server.log" | grep -qv ' - ERROR \['
}
check failures_are_errors failures_are_errors
no_secret() { ! grep -E 'topsecret|topdata|CzyEiIhJbEKuPbEMpx6Yi' "$work"/{text,json}/server.log; }
check no_secret no_secret
text_lines() {
  ! grep -vE '^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2},[0-9]{3} \[myid:\] - (INFO |WARN |ERROR) \[[^]]+@[0-9]+\] - ' \
    "$work/text/server.log"
}
check text_lines text_lines
json_lines() {
  python3 - "$work/json/server.log" <<'PY'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert all(line["level"] and line["time"].endswith("Z") and "message" in line for line in lines)
assert any("operation=create" in line["message"] for line in lines)
PY
}
check json_lines json_lines
check says_it_is_on grep -q 'ZooKeeper audit is enabled\.' "$work/text/server.log"

port=$(free_port)
start_server "$work/off" "$port"
"$FERROKEEPER" cli -server "127.0.0.1:$port" --quiet create /a > /dev/null 2>&1
stop_server
off() { ! grep -q operation= "$work/off/server.log" && grep -q 'ZooKeeper audit is disabled\.' "$work/off/server.log"; }
check off_by_default off
tally
