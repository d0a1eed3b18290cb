#!/bin/sh
# Builds a working tree in a chroot of a root image and packs it.  Runs in a private mount namespace, with which
# the loop device and everything mounted here goes.  The image is not changed.
# usage: tree.sh ROOTIMAGE SOURCES.tar OUT.tar WORK
set -eu
image=$1 sources=$2 out=$3 work=$4
mkdir "$work/lower" "$work/scratch" "$work/root"
mount -o loop,ro,noload "$image" "$work/lower"
mount -t tmpfs tmpfs "$work/scratch"
mkdir "$work/scratch/upper" "$work/scratch/work"
mount -t overlay -o "lowerdir=$work/lower,upperdir=$work/scratch/upper,workdir=$work/scratch/work" overlay "$work/root"
tar -C "$work/root/src" -xf "$sources"
mount -t proc proc "$work/root/proc"
mount -t tmpfs tmpfs "$work/root/tmp"
mount --bind /dev "$work/root/dev"
chroot "$work/root" make -C /src build
# Byte code of everything, that of pytest's rewritten tests included.
chroot "$work/root" sh -c 'cd /src && build/venv/bin/python -m compileall -q hostd vzinit images &&
    build/venv/bin/python -m pytest -q --collect-only -p no:cacheprovider tests/unit tests/root tests/system >/tmp/collected || { tail -n 20 /tmp/collected; exit 1; }'
tar -C "$work/root/src" --exclude=./build/venv --exclude=./build/venv.stamp -cf "$out" .
