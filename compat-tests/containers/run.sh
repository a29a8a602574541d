#!/usr/bin/env bash
# The image in a real Docker engine: it takes the place of the official one, alone and in a compose file.
# Uses the engine that answers, or else starts one of its own, which it ends.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/env.sh"
. "$here/../kazoo/install.sh"
SERVER=ferrokeeper check_server
make_work
for tool in docker docker-compose busybox java jlink prometheus promtool; do command -v "$tool" > /dev/null || die "needs $tool"; done

if ! docker info > /dev/null 2>&1; then
  command -v dockerd > /dev/null || die "no Docker engine answers, and there is none to start"
  [ "$(id -u)" = 0 ] || die "no Docker engine answers, and only root can start one"
  export DOCKER_HOST=unix://$work/docker.sock
  engine=$work/engine
  dockerd --data-root "$engine" --exec-root "$work/exec" --pidfile "$work/docker.pid" --host "$DOCKER_HOST" \
    > "$work/dockerd.log" 2>&1 &
  dockerd=$!
  trap 'kill "$dockerd" 2>/dev/null; wait "$dockerd" 2>/dev/null; kill_servers_below "$work"; rm -rf "$work"' EXIT
  for _ in $(seq 300); do
    docker info > /dev/null 2>&1 && break
    kill -0 "$dockerd" 2>/dev/null || { tail -n 20 "$work/dockerd.log" >&2; die "cannot start a Docker engine"; }
    sleep 0.1
  done
  docker info > /dev/null || { tail -n 20 "$work/dockerd.log" >&2; die "the Docker engine does not answer"; }
fi
export FERROKEEPER WORK="$work" IMAGE=ferrokeeper:compat-$$ CLASSPATH_JAVA CLASSPATH_JAVA_MONITORED DOCKER_BUILDKIT=0 PYTHONDONTWRITEBYTECODE=1
CLASSPATH_JAVA=$(java_classpath "$ZK_VERSION")
CLASSPATH_JAVA_MONITORED=$(java_monitored_classpath)
"$project_root/docker/build" "$IMAGE" > "$work/build.log" 2>&1 || { cat "$work/build.log" >&2; die "no image"; }
status=0
PYTHONPATH="$tools/kazoo-$kazoo_version" "$tools/venv/bin/python" "$here/containers.py" "$@" || status=$?
docker image rm --force "$IMAGE" > /dev/null 2>&1 || true
exit $status
