"""The probes behind Features that need a file system: a small ext4 image on a loop device, and overlays.

Everything is mounted detached, or attached in the namespace of a Stage that ends with the probe.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from hostd.kernel import loop, namespace
from hostd.kernel.fd import Fd
from hostd.kernel.mount import fsids, mount_setattr, move_mount, new_filesystem
from hostd.kernel.probes import PROBE_BASE
from hostd.kernel.stage import Stage

IMAGE_SIZE = 1 << 20  # bytes; enough for ext4 with quota inodes
SCRATCH = "/var/tmp"  # on a disk, as the storage of containers is
LAYERS = ("lower", "upper", "work")
SYSTEM_PATH = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}


def storage_features() -> dict[str, bool]:
    """The storage fields of Features; a missing one could not even be tried."""
    found = {
        "detached_trees": _works(_mount_on_detached),
        "idmap_tmpfs": _works(_idmapped_tmpfs),
        "overlay_fd_layers": _works(_overlay_of_descriptors),
    }
    stage = Stage()
    try:
        found["overlay"] = stage.submit(lambda: _works(_overlay_of_paths)).result()
        with suppress(OSError, subprocess.SubprocessError), _image() as device:
            found["loop"] = True
            found["loop_direct_io"] = device.direct_io
            with new_filesystem("ext4", {"source": device.path}) as ext4, namespace.userns(PROBE_BASE) as ns:
                found["idmap_ext4"] = _works(lambda: mount_setattr(ext4, userns=ns))
                if found["idmap_ext4"]:
                    on_stage = stage.submit(lambda: _works(lambda: _idmapped_overlay(ext4)))
                    found["overlay_idmapped"] = on_stage.result()
        with suppress(OSError, subprocess.SubprocessError), _image("-O", "quota,project") as device:
            found["ext4_prjquota"] = _works(lambda: _with_project_quota(device.path))
    finally:
        stage.close()
    return found


def _works(try_it: Callable[[], None]) -> bool:
    try:
        try_it()
    except OSError:
        return False
    return True


@contextmanager
def _image(*options: str) -> Iterator[loop.Loop]:
    """A new ext4 on a loop device, backed by a file without a name."""
    with Fd(os.open(SCRATCH, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600), "probe image") as file:
        os.truncate(file.fileno(), IMAGE_SIZE)
        command = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-I", "256", *options, file.path]
        number = file.fileno()
        quiet = subprocess.DEVNULL
        subprocess.run(
            command, check=True, env=SYSTEM_PATH, pass_fds=[number], stdin=quiet, stdout=quiet, stderr=quiet
        )
        device = loop.attach(file)
    try:
        yield device
    finally:
        device.detach()


def _tmpfs() -> Fd:
    return new_filesystem("tmpfs", {"mode": "755", "size": "64k"})


def _make_layers(mnt: Fd) -> None:
    for name in LAYERS:
        os.mkdir(name, 0o755, dir_fd=mnt.fileno())


def _mount_on_detached() -> None:
    with _tmpfs() as below, _tmpfs() as above:
        os.mkdir("point", 0o755, dir_fd=below.fileno())
        move_mount(above, "point", dir=below)


def _idmapped_tmpfs() -> None:
    with _tmpfs() as mnt, namespace.userns(PROBE_BASE) as ns:
        mount_setattr(mnt, userns=ns)


def _overlay_of_descriptors() -> None:
    with _tmpfs() as mnt:
        _make_layers(mnt)
        _overlay_by_fd(mnt).close()


def _overlay_by_fd(layers: Fd) -> Fd:
    with ExitStack() as stack:
        flags = os.O_PATH | os.O_DIRECTORY
        lower, upper, work = (stack.enter_context(Fd.open(name, flags, dir=layers)) for name in LAYERS)
        options: dict[str, str | Fd | None] = {"lowerdir+": lower, "upperdir": upper, "workdir": work}
        return new_filesystem("overlay", options)


def _attach(mnt: Fd) -> str:
    """Attach in the namespace of the stage."""
    os.makedirs("/probe", exist_ok=True)
    move_mount(mnt, "/probe")
    return "/probe"


def _overlay_by_path(path: str) -> Fd:
    lower, upper, work = (f"{path}/{name}" for name in LAYERS)
    return new_filesystem("overlay", {"lowerdir": lower, "upperdir": upper, "workdir": work})


def _overlay_of_paths() -> None:
    with _tmpfs() as mnt:
        _make_layers(mnt)
        _overlay_by_path(_attach(mnt)).close()


def _idmapped_overlay(layers: Fd) -> None:
    """Mounted by a mapped user, or the kernel makes it read-only without a word: so a file is made in it."""
    with fsids(PROBE_BASE, PROBE_BASE):
        _make_layers(layers)
        try:
            overlay = _overlay_by_fd(layers)
        except OSError:
            overlay = _overlay_by_path(_attach(layers))
        with overlay:
            Fd.open("file", os.O_CREAT | os.O_WRONLY, 0o600, dir=overlay).close()


def _with_project_quota(device: str) -> None:
    new_filesystem("ext4", {"source": device, "prjquota": None}).close()
