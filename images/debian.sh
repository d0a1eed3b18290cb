#!/bin/sh
# Makes a Debian tree in a file system of its own and writes it to standard output as a tar.
# usage: debian.sh WORKDIR FILES KEYRING SUITE PACKAGES SOURCES-LINE...
# Runs in a private mount namespace: whatever is mounted here ends with this process.
# TMPFS=1: work in memory, where the thousands of fsyncs of dpkg cost nothing.
set -eu
umask 022
work=$1 files=$2 keyring=$3 suite=$4 packages=$5
shift 5

[ "${TMPFS:-1}" = 0 ] || mount -t tmpfs -o size=3g,mode=0755 image "$work"
export TMPDIR="$work"
root=$work/root

mmdebstrap --mode=root --variant=minbase --format=directory \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --keyring="$keyring" --include="$packages" "$suite" "$root" "$@" >&2

# What belongs to the machine that built the image, or to one installation only.
rm -f "$root/etc/hostname" "$root/etc/resolv.conf" "$root"/etc/ssh/ssh_host_* "$root/etc/.pwd.lock" \
    "$root"/etc/passwd- "$root"/etc/shadow- "$root"/etc/group- "$root"/etc/gshadow- \
    "$root/etc/apt/sources.list" "$root/var/lib/systemd/random-seed" "$root/var/lib/dbus/machine-id" \
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
sed "s/@SUITE@/$suite/g" "$files/etc/apt/debian.sources" > "$root/etc/apt/sources.list.d/debian.sources"
rm "$root/etc/apt/debian.sources"
echo LANG=C.UTF-8 > "$root/etc/locale.conf"
ln -sf ../locale.conf "$root/etc/default/locale"
ln -s /etc/systemd/system/ssh-host-keys.service "$root/etc/systemd/system/multi-user.target.wants/"
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
case ,$packages, in
*,sysvinit-core,*) chroot "$root" update-rc.d ssh-host-keys defaults >&2 ;;
*) rm "$root/etc/init.d/ssh-host-keys" ;;
esac

exec tar --create --directory="$root" --numeric-owner --xattrs --acls --one-file-system --sort=name \
    --exclude=./var/cache/apt/archives/lock .
