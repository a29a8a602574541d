# Sourced by the suites that use Kazoo, after lib/env.sh: the published sdist, unpacked and untouched, and the packages
# that its tests import. Sets `tools`; the client is in `$tools/venv`.
kazoo_version=2.11.0
tools="$COMPAT_CACHE/kazoo-$kazoo_version"
kazoo_requirements=$(dirname "${BASH_SOURCE[0]}")/requirements.txt

install_kazoo() {
  rm -rf "$tools.tmp" && mkdir -p "$tools.tmp"
  python3 -m venv "$tools.tmp/venv"
  "$tools.tmp/venv/bin/pip" install -q -r "$kazoo_requirements" >&2
  "$tools.tmp/venv/bin/pip" download -q --no-deps --no-build-isolation --no-binary :all: \
    "kazoo==$kazoo_version" -d "$tools.tmp" >&2
  tar -C "$tools.tmp" -xf "$tools.tmp/kazoo-$kazoo_version.tar.gz"
  cp "$kazoo_requirements" "$tools.tmp/requirements.txt"
  rm -rf "$tools" && mv "$tools.tmp" "$tools"
}
cmp -s "$kazoo_requirements" "$tools/requirements.txt" || install_kazoo
