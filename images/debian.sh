#!/bin/sh
# Makes a Debian tree in a file system of its own and writes it to standard output as a tar.
# usage: debian.sh WORKDIR FILES KEYRING SUITE PACKAGES CHECK-DATE SOURCES-LINE...
# WORKDIR/packages and WORKDIR/releases tell what it was made of.
# Runs in a private mount namespace: whatever is mounted here ends with this process.
# SOURCE_DATE_EPOCH: the date of all that the build makes.  CHECK-DATE=false takes a Release file that has expired.
# TMPFS=1: work in memory, where the thousands of fsyncs of dpkg cost nothing.
set -eu
umask 022
# What maintainer scripts see must not depend on who builds.
export LC_ALL=C.UTF-8 TZ=UTC PERL_HASH_SEED=0 PYTHONHASHSEED=0
work=$1 files=$2 keyring=$3 suite=$4 packages=$5 check_date=$6
shift 6
# A copy of a container's mounts would hold its disk for as long as we work.
tac /proc/self/mounts | while read -r source point type _rest; do
    case $work/ in "${point%/}"/*) continue ;; esac # what we stand on
    case $source:$type in /dev/loop*:* | *:overlay) umount --lazy "$(printf %b "$point")" ;; esac
done
exec 3>"$work/packages" 4>"$work/releases"  # they stay below what is mounted next

[ "${TMPFS:-1}" = 0 ] || mount -t tmpfs -o size=3g,mode=0755 image "$work"
export TMPDIR="$work"
root=$work/root

mmdebstrap --mode=root --variant=minbase --format=directory \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --aptopt="Acquire::Check-Valid-Until \"$check_date\"" \
    --customize-hook='cat "$1"/var/lib/apt/lists/*Release > "$1/../read"' \
    --keyring="$keyring" --include="$packages" "$suite" "$root" "$@" >&2
dpkg-query --root="$root" --show --showformat='${binary:Package} ${Version}\n' >&3
cat "$work/read" >&4

# What belongs to the machine that built the image, or to one installation only.
rm -f "$root/etc/hostname" "$root/etc/resolv.conf" "$root"/etc/ssh/ssh_host_* "$root/etc/.pwd.lock" \
    "$root"/etc/passwd- "$root"/etc/shadow- "$root"/etc/group- "$root"/etc/gshadow- \
    "$root/etc/apt/sources.list" "$root/etc/apt/apt.conf.d/99mmdebstrap" \
    "$root/var/lib/systemd/random-seed" "$root/var/lib/dbus/machine-id" \
    "$root"/var/cache/debconf/*-old "$root"/var/lib/dpkg/*-old
: > "$root/etc/machine-id"
find "$root/var/log" -type f -delete
find "$root/var/lib/apt/lists" "$root/var/cache/apt" "$root/var/cache/ldconfig" "$root/run" "$root/tmp" "$root/dev" \
    -xdev -mindepth 1 -delete
mkdir -p "$root/.vz" "$root/var/lib/apt/lists/partial" "$root/var/cache/apt/archives/partial"

# Only the executable bit is the checkout's; the rest of its modes depends on somebody's umask.
(
    cd "$files"
    find . -type f -perm /100 -exec install -D -m 755 {} "$root/{}" \; -o \
        -type f -exec install -D -m 644 {} "$root/{}" \;
)
case $suite in
sid) sources=sid.sources ;; # it has neither updates nor security updates: it is both
*) sources=stable.sources ;;
esac
sed "s/@SUITE@/$suite/g" "$files/etc/apt/$sources" > "$root/etc/apt/sources.list.d/debian.sources"
rm "$root/etc/apt/sid.sources" "$root/etc/apt/stable.sources"
echo LANG=C.UTF-8 > "$root/etc/locale.conf"
ln -sf ../locale.conf "$root/etc/default/locale"
ln -s /etc/systemd/system/ssh-host-keys.service "$root/etc/systemd/system/multi-user.target.wants/"
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
case ,$packages, in
*,sysvinit-core,* | *,runit-init,*) chroot "$root" update-rc.d ssh-host-keys defaults >&2 ;;
*) rm "$root/etc/init.d/ssh-host-keys" ;;
esac

exec tar --create --directory="$root" --numeric-owner --xattrs --acls --one-file-system --sort=name \
    --mtime="@$SOURCE_DATE_EPOCH" --clamp-mtime --format=posix \
    --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
    --exclude=./var/cache/apt/archives/lock .
