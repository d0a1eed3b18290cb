"""Builder "tarball": the root file system that a distribution publishes, made fit to be a server.

Such tarballs are made for `docker run` or for a chroot: root may have no password at all, login prompts are masked, an
inittab calls programs that are not there.  Each of CHANGES mends one thing, where it is so.
"""

import hashlib
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from images.errors import BuildError
from images.recipes import Recipe

# The file by which a distribution and its kin are known.
_KNOWN_BY = {"alpine": "etc/alpine-release", "rocky": "etc/redhat-release"}
_EXTRACT = ("tar", "--extract", "--numeric-owner", "--same-permissions", "--acls", "--xattrs",
            "--xattrs-include=security.capability", "--xattrs-include=user.*")  # fmt: skip
_CREATE = ("tar", "--create", "--numeric-owner", "--acls", "--xattrs", "--one-file-system", "--sort=name",
           "--format=posix", "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
           "--clamp-mtime")  # fmt: skip
_IDENTITY = (
    "etc/hostname", "etc/resolv.conf", "etc/ssh/ssh_host_*", "etc/.pwd.lock", "etc/passwd-", "etc/shadow-",
    "etc/group-", "etc/gshadow-", "var/lib/dbus/machine-id", "var/lib/systemd/random-seed", ".dockerenv",
    "run/.containerenv", "root/anaconda-ks.cfg", "etc/sysconfig/network-scripts/ifcfg-e*",
)  # fmt: skip
_MASKED = ("console-getty.service", "getty.target", "systemd-logind.service")
_UNITS, _OWN_UNITS = "usr/lib/systemd/system", "etc/systemd/system"
_WANTED = f"{_OWN_UNITS}/multi-user.target.wants"
_INTERFACES = "# venet0 is the host's to set up.\nauto lo\niface lo inet loopback\n"
_HOST_KEYS = """\
[Unit]
Description=Make the ssh host keys of this container
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
Before=sshd.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ssh-keygen -A
"""


def ingredients(recipe: Recipe) -> bytes:
    """The tarball, by its content.  Raises BuildError when none was given."""
    if not recipe.tarball:
        raise BuildError(f"made of what the distribution publishes: make image-{recipe.name} TARBALL=FILE")
    with open(recipe.tarball, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def tar_command(recipe: Recipe, work: str) -> list[str]:
    """Lay the tree out in *work* and answer the program that writes it as a tar to its standard output."""
    root = Path(work, "root")
    root.mkdir(mode=0o755)
    _unpack(recipe.tarball, root)
    known_by = _KNOWN_BY[recipe.name]
    if not os.path.lexists(root / known_by):
        raise BuildError(f"{recipe.tarball} is no {recipe.name}, nor of its kin: there is no {known_by} in it")
    newest = _newest(root)
    for change in CHANGES:
        change(root)
    return [*_CREATE, f"--mtime=@{newest}", f"--directory={root}", "."]


def made_of(recipe: Recipe, work: str) -> dict[str, object]:
    """Which tarball it was; what is in that, the distribution's own tools tell."""
    release = _text(Path(work, "root"), "etc/os-release")
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', release, re.MULTILINE))
    return {
        "made of": os.path.basename(recipe.tarball),
        "its sha256": ingredients(recipe).hex(),
        "packages": {fields.get("ID", recipe.name): fields.get("VERSION_ID", "")},
    }


def _unpack(tarball: str, root: Path) -> None:
    done = subprocess.run([*_EXTRACT, f"--directory={root}", f"--file={tarball}"], capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"cannot unpack {tarball}: {done.stderr.strip().splitlines()[0]}")
    subprocess.run(["find", root, "-xdev", "(", "-type", "b", "-o", "-type", "c", ")", "-delete"], check=True)


def _newest(root: Path) -> int:
    """The time of its newest file: nothing that is made of it is younger."""
    times = [os.lstat(os.path.join(folder, name)).st_mtime for folder, _, names in os.walk(root) for name in names]
    return int(max(times, default=0))


# --- what is changed ------------------------------------------------------------------------------------------------


def no_identity(root: Path) -> None:
    """Nothing of one machine or one container is in a template."""
    for pattern in _IDENTITY:
        for path in root.glob(pattern):
            _place(root, str(path.relative_to(root))).unlink()
    _write(root, "etc/machine-id", "")


def root_is_locked(root: Path) -> None:
    """Until somebody sets a password.  An empty one would let everybody in."""
    text = _text(root, "etc/shadow")
    mode = (root / "etc/shadow").stat().st_mode
    _write(root, "etc/shadow", re.sub(r"^root:[^:]*:", "root:*:", text, flags=re.MULTILINE), mode)


def network_is_the_hosts(root: Path) -> None:
    """The distribution's scripts bring up the loopback device, and leave venet0 as they find it."""
    if (root / "etc/network").is_dir():
        _write(root, "etc/network/interfaces", _INTERFACES)
    if (root / "etc/sysconfig").is_dir():
        _write(root, "etc/sysconfig/network", "NETWORKING=yes\n")
    if (root / "etc/NetworkManager/conf.d").is_dir():
        _write(root, "etc/NetworkManager/conf.d/vz.conf", "[keyfile]\nunmanaged-devices=interface-name:venet0\n")


def inittab_runs(root: Path) -> None:
    """One that calls OpenRC, where that is not installed, becomes one that does with what there is."""
    if not os.path.lexists(root / "etc/inittab") or os.path.lexists(root / "sbin/openrc"):
        return
    if "/sbin/openrc" not in _text(root, "etc/inittab"):
        return
    lines = ["# OpenRC is not installed; its package brings another.", "tty1::respawn:/sbin/getty 38400 tty1 linux"]
    if os.path.lexists(root / "sbin/syslogd"):
        lines.append("::respawn:/sbin/syslogd -n")
    if os.path.lexists(root / "usr/sbin/sshd"):
        lines += ["::sysinit:/usr/bin/ssh-keygen -A", "::respawn:/usr/sbin/sshd -D"]
    _write(root, "etc/inittab", "\n".join([*lines, "::ctrlaltdel:/sbin/reboot", "::shutdown:/bin/sync", ""]))


def units_run(root: Path) -> None:
    """systemd's login prompt, and sshd with keys of its own; a server and no desktop."""
    if not (root / _UNITS / "multi-user.target").exists():
        return
    for name in _MASKED:
        if (root / _OWN_UNITS / name).is_symlink():
            (root / _OWN_UNITS / name).unlink()
    _link(root, f"{_OWN_UNITS}/default.target", f"/{_UNITS}/multi-user.target")
    if not (root / "etc/locale.conf").exists():
        _write(root, "etc/locale.conf", "LANG=C.UTF-8\n")
    if (root / _UNITS / "sshd.service").exists():
        _link(root, f"{_WANTED}/sshd.service", f"/{_UNITS}/sshd.service")
        _write(root, f"{_OWN_UNITS}/ssh-host-keys.service", _HOST_KEYS)
        _link(root, f"{_WANTED}/ssh-host-keys.service", f"/{_OWN_UNITS}/ssh-host-keys.service")


def root_may_log_in(root: Path) -> None:
    """By ssh, once it has a password, as in the other images."""
    if (root / "etc/ssh/sshd_config.d").is_dir():
        _write(root, "etc/ssh/sshd_config.d/01-vz.conf", "PermitRootLogin yes\n", 0o600)


CHANGES: tuple[Callable[[Path], None], ...] = (
    no_identity, root_is_locked, network_is_the_hosts, inittab_runs, units_run, root_may_log_in,
)  # fmt: skip


def _text(root: Path, name: str) -> str:
    """What is in the file *name* of the tree.  Raises BuildError when that is a link to a file of this machine."""
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise BuildError(f"{name} is a link out of the tree")
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def _write(root: Path, name: str, text: str, mode: int = 0o644) -> None:
    """In place of what is there."""
    path = _place(root, name)
    path.unlink(missing_ok=True)
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    path.chmod(mode & 0o777)


def _link(root: Path, name: str, target: str) -> None:
    path = _place(root, name)
    path.parent.mkdir(mode=0o755, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _place(root: Path, name: str) -> Path:
    """Where *name* is in the tree.  Raises BuildError when a link on the way leads out of it."""
    path = root / name
    if not path.parent.resolve().is_relative_to(root.resolve()):
        raise BuildError(f"{os.path.dirname(name)} is a link out of the tree")
    return path
