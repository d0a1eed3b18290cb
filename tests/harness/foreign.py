"""Root file systems as other distributions publish them, made of what this machine has: no network leads to theirs.

`alpine` is laid out as Alpine's minirootfs, of busybox; `rhel` as the container image of a RHEL clone, of Debian's.
"""

import os
import subprocess
from pathlib import Path

from images import busybox, recipes

# As alpine-baselayout has it; the minirootfs has no /sbin/openrc.
ALPINE_INITTAB = """\
# /etc/inittab

::sysinit:/sbin/openrc sysinit
::sysinit:/sbin/openrc boot
::wait:/sbin/openrc default

# Set up a couple of getty's
tty1::respawn:/sbin/getty 38400 tty1
tty2::respawn:/sbin/getty 38400 tty2

# Stuff to do for the 3-finger salute
::ctrlaltdel:/sbin/reboot

# Stuff to do before rebooting
::shutdown:/sbin/openrc shutdown
"""
ALPINE_RELEASE = 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.99.0\nPRETTY_NAME="Alpine Linux v3.99"\n'
RHEL_RELEASE = 'NAME="Like Linux"\nID="like"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.9"\n'
# What the images of RHEL and its clones switch off for `docker run`.
RHEL_MASKED = ("console-getty.service", "getty.target", "systemd-logind.service", "dev-hugepages.mount")
DEBIAN_ONLY = ("etc/debian_version", "etc/apt", "etc/network", "etc/systemd/system/ssh-host-keys.service",
               "etc/systemd/system/multi-user.target.wants/ssh-host-keys.service", ".vz", "etc/locale.conf",
               "etc/init.d", "etc/rc2.d", "etc/rcS.d", "etc/default/ssh")  # fmt: skip


def alpine(folder: Path) -> str:
    """A tarball like alpine-minirootfs-*.tar.gz."""
    root = folder / "alpine"
    busybox.lay_out(str(root), busybox.static_busybox(), recipes.RECIPES["busybox"].files())
    for name in ("etc/machine-id", "etc/init.d/rcS"):
        (root / name).unlink()
    (root / ".vz").rmdir()
    for name in ("lib/apk", "etc/apk", "etc/network/if-up.d", "media", "opt", "srv"):
        (root / name).mkdir(parents=True, exist_ok=True)
    texts = {
        "etc/inittab": ALPINE_INITTAB,
        "etc/alpine-release": "3.99.0\n",
        "etc/os-release": ALPINE_RELEASE,
        "etc/hostname": "localhost\n",
        "etc/shadow": "root:::0:::::\ndaemon:!::0:::::\nnobody:!::0:::::\n",
    }
    for name, text in texts.items():
        (root / name).write_text(text)
    return _packed(root, "alpine-minirootfs-3.99.0", "--gzip", ".tar.gz")


def rhel(folder: Path, debian: str) -> str:
    """A tarball like the rootfs of a clone's container image, made of the tarball *debian*."""
    root = folder / "rhel"
    root.mkdir()
    argv = ["tar", "--extract", "--zstd", "--numeric-owner", "--xattrs", f"--directory={root}", f"--file={debian}"]
    subprocess.run(argv, check=True)
    for name in DEBIAN_ONLY:
        subprocess.run(["rm", "-rf", "--one-file-system", str(root / name)], check=True)
    units = root / "etc/systemd/system"
    os.replace(root / "usr/lib/systemd/system/ssh.service", root / "usr/lib/systemd/system/sshd.service")
    for stale in ("ssh.service", "sshd.service", "multi-user.target.wants/ssh.service", "default.target"):
        (units / stale).unlink(missing_ok=True)
    for name in RHEL_MASKED:
        (units / name).symlink_to("/dev/null")
    (root / "etc/sysconfig/network-scripts").mkdir(parents=True)
    texts = {
        "etc/redhat-release": "Like Linux release 9.9 (Almost)\n",
        "usr/lib/os-release": RHEL_RELEASE,
        "etc/machine-id": "uninitialized\n",
        "etc/sysconfig/network-scripts/ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=dhcp\nONBOOT=yes\n",
        ".dockerenv": "",
        "etc/hosts": "",
    }
    for name, text in texts.items():
        (root / name).write_text(text)
    return _packed(root, "like-9-container", "--zstd", ".tar.zst")


def _packed(root: Path, name: str, compress: str, suffix: str) -> str:
    path = f"{root.parent}/{name}{suffix}"
    argv = ["tar", "--create", compress, "--numeric-owner", "--xattrs", f"--directory={root}", f"--file={path}", "."]
    subprocess.run(argv, check=True)
    subprocess.run(["rm", "-rf", "--one-file-system", str(root)], check=True)
    return path
