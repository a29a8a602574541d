#!/usr/bin/env bash
# The client: the same commands through Java's and through ours, against one server (SERVER=java: Java's). Arguments:
# names of tests.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/env.sh"
check_server
make_work
CLASSPATH_JAVA=$(java_classpath "$ZK_VERSION")
export FERROKEEPER CLASSPATH_JAVA CLI_HOME="$work" PYTHONDONTWRITEBYTECODE=1
port=$(free_port) TLS_PORT=$(free_port)
export TLS_PORT TLS_STORE="$work/trusted.pem"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext 'subjectAltName=IP:127.0.0.1' \
  -keyout "$work/key.pem" -out "$TLS_STORE" 2> /dev/null
cat "$work/key.pem" "$TLS_STORE" > "$work/both.pem"
module='org.apache.zookeeper.server.auth.DigestLoginModule required'
export JAAS="$work/clients.jaas"
cat > "$JAAS" << EOF
Client { $module username="bob" password="b o b"; };
Eve { $module username="eve" password="secret"; };
Wrong { $module username="bob" password="bob"; };
EOF
echo "Server { $module user_bob=\"b o b\" user_eve=\"secret\"; };" > "$work/server.jaas"
export SERVER_JAAS="$work/server.jaas"
JVMFLAGS="${JVMFLAGS:-} -Djava.security.auth.login.config=$SERVER_JAAS -Dzookeeper.fips-mode=false" \
  start_server "$work/server" "$port" extendedTypesEnabled=true "secureClientPort=$TLS_PORT" \
  authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider \
  serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory ssl.clientAuth=none \
  "ssl.keyStore.location=$work/both.pem" "ssl.trustStore.location=$TLS_STORE"
status=0
python3 -W ignore "$here/cli.py" "$port" "$@" || status=$?
stop_server
exit "$status"
