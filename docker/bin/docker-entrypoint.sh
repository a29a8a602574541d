#!/bin/sh
# What the official image's entry point does: a configuration from the environment unless there is one, the server's
# number unless there is one, and away from root.
set -eu

if [ "${1:-}" = zkServer.sh ] && [ "$(id -u)" = 0 ]; then
  # Volumes that the engine made belong to root. What is on them already may belong to anybody.
  chown -R zookeeper:zookeeper "$ZOO_DATA_DIR" "$ZOO_DATA_LOG_DIR" "$ZOO_LOG_DIR" "$ZOO_CONF_DIR" 2> /dev/null ||
    echo "cannot change the owner of everything in $ZOO_DATA_DIR, $ZOO_DATA_LOG_DIR, $ZOO_LOG_DIR, $ZOO_CONF_DIR" >&2
  # shellcheck disable=SC2016
  exec su -m -s /bin/sh -c 'exec "$0" "$@"' zookeeper "$0" "$@"
fi

if [ ! -f "$ZOO_CONF_DIR/zoo.cfg" ]; then
  {
    echo "dataDir=$ZOO_DATA_DIR"
    echo "dataLogDir=$ZOO_DATA_LOG_DIR"
    echo "tickTime=$ZOO_TICK_TIME"
    echo "initLimit=$ZOO_INIT_LIMIT"
    echo "syncLimit=$ZOO_SYNC_LIMIT"
    echo "autopurge.snapRetainCount=$ZOO_AUTOPURGE_SNAPRETAINCOUNT"
    echo "autopurge.purgeInterval=$ZOO_AUTOPURGE_PURGEINTERVAL"
    echo "maxClientCnxns=$ZOO_MAX_CLIENT_CNXNS"
    echo "standaloneEnabled=$ZOO_STANDALONE_ENABLED"
    echo "admin.enableServer=$ZOO_ADMINSERVER_ENABLED"
    # Who publishes the container's port is who decides; the server itself would listen on loopback alone.
    [ "$ZOO_ADMINSERVER_ENABLED" != true ] || echo "admin.serverAddress=0.0.0.0"
    for server in ${ZOO_SERVERS:-server.1=localhost:2888:3888;2181}; do echo "$server"; done
    [ -z "${ZOO_4LW_COMMANDS_WHITELIST:-}" ] || echo "4lw.commands.whitelist=$ZOO_4LW_COMMANDS_WHITELIST"
    for entry in ${ZOO_CFG_EXTRA:-}; do echo "$entry"; done
  } > "$ZOO_CONF_DIR/zoo.cfg"
fi
[ -f "$ZOO_DATA_DIR/myid" ] || echo "${ZOO_MY_ID:-1}" > "$ZOO_DATA_DIR/myid"

# A volume that a Java server filled is taken over once; its files stay as they are.
if [ "${1:-}" = zkServer.sh ] && [ -n "$(ls "$ZOO_DATA_DIR"/version-2/snapshot.* 2> /dev/null)" ] &&
  { [ ! -e "$ZOO_DATA_DIR/ferrokeeper" ] || [ -e "$ZOO_DATA_DIR/ferrokeeper/importing" ]; }; then
  echo "taking over the data of the Java server in $ZOO_DATA_DIR" >&2
  ferrokeeper import "$ZOO_CONF_DIR/zoo.cfg"
fi

exec "$@"
