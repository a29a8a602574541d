#!/bin/sh
# The verbs of ZooKeeper's script of this name, for the scripts, units and images that call it.
set -u

usage() {
  echo "Usage: $0 [--config <conf-dir>] {start|start-foreground|stop|version|restart|status|print-cmd} [config-file]" >&2
  exit 1
}

: "${FERROKEEPER:=ferrokeeper}"
conf=${ZOOCFGDIR:-/etc/zookeeper/conf}
if [ "${1:-}" = --config ]; then
  [ $# -ge 2 ] || usage
  conf=$2
  shift 2
fi
[ $# -ge 1 ] || usage
verb=$1
shift
case ${1:-} in
  "") file=$conf/${ZOOCFG:-zoo.cfg} ;;
  */*) file=$1 ;;
  *) file=$conf/$1 ;;
esac

# The last value of a key, as the server takes it.
value() {
  [ -f "$file" ] || return 0
  sed -n "s/^[[:space:]]*$1[[:space:]]*[=:][[:space:]]*//p" "${2:-$file}" | tail -n 1 | tr -d '\r'
}

pid_file() {
  echo "${ZOOPIDFILE:-$(value dataDir)/zookeeper_server.pid}"
}

running() {
  pid=$(cat "$(pid_file)" 2> /dev/null) && [ -n "$pid" ] && kill -0 "$pid" 2> /dev/null
}

start() {
  if running; then
    echo "already running as process $pid."
    exit 1
  fi
  out=${ZOO_LOG_DIR:-.}/zookeeper-${USER:-$(id -un)}-server-$(hostname).out
  printf 'Starting zookeeper ... '
  nohup "$FERROKEEPER" server "$file" > "$out" 2>&1 < /dev/null &
  pid=$!
  echo "$pid" > "$(pid_file)" || { echo "FAILED TO WRITE PID"; exit 1; }
  sleep 1
  if kill -0 "$pid" 2> /dev/null; then
    echo STARTED
  else
    echo "FAILED TO START"
    tail -n 3 "$out" >&2
    exit 1
  fi
}

stop() {
  printf 'Stopping zookeeper ... '
  if [ ! -f "$(pid_file)" ]; then
    echo "no zookeeper to stop (could not find file $(pid_file))"
    return
  fi
  if running; then
    kill "$pid"
    while kill -0 "$pid" 2> /dev/null; do sleep 0.2; done
  fi
  rm -f "$(pid_file)"
  echo STOPPED
}

[ "$verb" = version ] || echo "Using config: $file" >&2
case $verb in
  start) start ;;
  start-foreground) exec "$FERROKEEPER" server "$file" ;;
  stop) stop ;;
  restart) stop; start ;;
  status) exec "$FERROKEEPER" status "$file" ;;
  version) "$FERROKEEPER" --version ;;
  print-cmd) echo "$FERROKEEPER server $file" ;;
  *) usage ;;
esac
