#!/bin/sh
# Makes WORK/root, a Debian for the test bed.  Runs in a private mount namespace.
# usage: rootimage.sh WORK VARIANT ARCH KEYRING SUITE PACKAGES VENV SOURCES-LINE...
set -eu
umask 022
work=$1 variant=$2 arch=$3 keyring=$4 suite=$5 packages=$6 venv=$7
shift 7
root=$work/root

essential=
[ "$variant" != extract ] || essential='--include=?essential'
mmdebstrap --mode=root --variant="$variant" --format=directory --architectures="$arch" --keyring="$keyring" \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr $essential --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io --aptopt='Apt::Install-Recommends "false"' \
    "$suite" "$root" "$@"

rm -rf "$root/var/cache/apt" "$root/var/lib/apt/lists"
mkdir -p "$root/var/cache/apt/archives/partial" "$root/var/lib/apt/lists/partial" "$root/var/cache/vzhost/images"
: >"$root/etc/fstab"
: >"$root/etc/machine-id"
echo vm >"$root/etc/hostname"
mkdir -p "$root/$venv"
cp -a "$work/venv/." "$root/$venv"
cp "$work/venv.stamp" "$root/$venv.stamp"

if [ "$variant" != extract ]; then
    passwd --root "$root" --delete root >/dev/null
    exec chroot "$root" python3 -m compileall -q -j0 "/$venv"
fi

# What the scripts of essential packages would have done, in the words that the guest needs.
[ -e "$root/etc/passwd" ] || cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
[ -e "$root/etc/group" ] || cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
[ -e "$root/usr/bin/awk" ] || ln -s mawk "$root/usr/bin/awk"
mkdir -p "$root/var/lib/dpkg" "$root/tmp" "$root/run"
chmod 1777 "$root/tmp" "$root/var/tmp"
