#!/usr/bin/env bash
# The AdminServer and the metrics endpoint, with Python's http.client and curl: the same requests to this server and to
# Java's, whose answers are the expectation; snapshots of one restored into the other; HTTPS; and rubbish for a while.
#
#   FUZZ_SECONDS=20   how long rubbish is sent
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../lib/env.sh"
check_server

# The server with what its release leaves to its packagers.
admin_classpath() {
  local dir="$COMPAT_CACHE/zookeeper-admin-$ZK_VERSION"
  if [ ! -s "$dir/classpath" ]; then
    mkdir -p "$dir"
    dependency() { echo "<dependency><groupId>$1</groupId><artifactId>$2</artifactId><version>$3</version></dependency>"; }
    {
      echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
      echo '<groupId>compat</groupId><artifactId>admin</artifactId><version>1</version><packaging>pom</packaging>'
      echo '<dependencies>'
      dependency org.apache.zookeeper zookeeper "$ZK_VERSION"
      dependency io.dropwizard.metrics metrics-core 4.1.12.1
      dependency org.xerial.snappy snappy-java 1.1.10.5
      dependency commons-cli commons-cli 1.5.0
      dependency org.eclipse.jetty jetty-server 9.4.58.v20250814
      dependency org.eclipse.jetty jetty-servlet 9.4.58.v20250814
      dependency com.fasterxml.jackson.core jackson-databind 2.18.1
      echo '</dependencies></project>'
    } > "$dir/pom.xml"
    (cd "$dir" && mvn -q -B dependency:build-classpath -Dmdep.outputFile=classpath.tmp >&2 && mv classpath.tmp classpath)
  fi
  cat "$dir/classpath"
}

CLASSPATH_JAVA=$(admin_classpath)
export CLASSPATH_JAVA FERROKEEPER PYTHONDONTWRITEBYTECODE=1
make_work
exec_tests() { python3 "$here/admin.py" "$work" "${FUZZ_SECONDS:-20}" "$@"; }
exec_tests "$@"
