#!/usr/bin/env bash
# The Debian package: built, looked at, installed beside this machine's system (an overlay of it, which is thrown
# away), run as its unit says, stopped, removed. Needs root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/env.sh"
SERVER=ferrokeeper
check_server
make_work
[ "$(id -u)" = 0 ] || die "needs root, to mount"

FERROKEEPER=$FERROKEEPER "$project_root/docker/debian/build" "$work" > /dev/null
package=$(ls "$work"/ferrokeeper_*.deb)
contents() {
  local name list
  list=$(dpkg-deb --contents "$package")
  for name in ./usr/bin/ferrokeeper ./lib/systemd/system/ferrokeeper.service ./etc/ferrokeeper/zoo.cfg \
    ./etc/default/ferrokeeper; do
    grep -q " $name\$" <<< "$list" || { echo "no $name"; return 1; }
  done
  # Nothing belongs to whoever built it.
  ! grep -v ' root/root ' <<< "$list"
}
check contents contents
check conffiles grep -qx /etc/ferrokeeper/zoo.cfg <(dpkg-deb --info "$package" conffiles)

# A tmpfs, because an overlay cannot lie on another one.
mkdir -p "$work/layer"
mount -t tmpfs tmpfs "$work/layer"
unmount() {
  umount -l "$root/proc" "$root/dev" "$root" 2> /dev/null || true
  umount -l "$work/layer" 2> /dev/null || true
}
root=$work/root
mkdir -p "$work/layer/upper" "$work/layer/work" "$root"
trap 'unmount; kill_servers_below "$work"; rm -rf "$work"' EXIT
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/layer/upper,workdir=$work/layer/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
cp "$package" "$root/ferrokeeper.deb"
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

install() { inside dpkg --force-depends -i /ferrokeeper.deb > "$work/install.log" 2>&1 || { cat "$work/install.log"; return 1; }; }
check installs install
quietly() { "$@" > /dev/null; }
check makes_a_user quietly inside id ferrokeeper
owns_its_data() { [ "$(inside stat -c %U:%a /var/lib/ferrokeeper)" = ferrokeeper:750 ]; }
check owns_its_data owns_its_data
check configuration_is_valid quietly inside ferrokeeper config check /etc/ferrokeeper/zoo.cfg
unit() {
  command -v systemd-analyze > /dev/null || { echo "no systemd-analyze: the unit is not looked at"; return 0; }
  local said
  said=$(inside systemd-analyze verify /lib/systemd/system/ferrokeeper.service 2>&1 | grep ferrokeeper || true)
  [ -z "$said" ] || { echo "$said"; return 1; }
}
check unit unit

# What the unit says, by hand.
port=$(free_port)
sed -i "s/^clientPort=.*/clientPort=$port/" "$root/etc/ferrokeeper/zoo.cfg"
command=$(sed -n 's/^ExecStart=//p' "$root/lib/systemd/system/ferrokeeper.service")
# shellcheck disable=SC2086
chroot --userspec=ferrokeeper:ferrokeeper "$root" $command > "$work/server.log" 2>&1 &
pid=$!
starts() { wait_ready "$port" "$pid" || { cat "$work/server.log"; return 1; }; }
check starts starts
serves() {
  inside ferrokeeper cli -server "127.0.0.1:$port" --quiet create /a 1 2> /dev/null
  [ "$(inside ferrokeeper cli -server "127.0.0.1:$port" --quiet get /a)" = 1 ]
}
check serves serves
check status quietly inside ferrokeeper status /etc/ferrokeeper/zoo.cfg
kill -TERM "$pid"
stops() { local code=0; wait "$pid" || code=$?; [ "$code" = 0 ]; }
check stops stops
upgrades() {
  inside dpkg --force-depends -i /ferrokeeper.deb > "$work/upgrade.log" 2>&1 && grep -q "clientPort=$port" "$root/etc/ferrokeeper/zoo.cfg"
}
check keeps_its_configuration upgrades
removes() {
  inside dpkg -r ferrokeeper > /dev/null 2>&1 && [ ! -e "$root/usr/bin/ferrokeeper" ] && [ -d "$root/var/lib/ferrokeeper/ferrokeeper" ]
}
check removed_it_leaves_the_data removes
tally
