"""Layout `overlay`: the shared template below, one sparse ext4 image per container above (ADR 004).

The private area holds `disk.img`, `layout` (which template) and `loop` (the loop device of the last mount, a
hint). The loop device is set to clear itself: the mounts of the container keep it, and nothing else has to.
"""

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import NamedTuple

from hostd.config import files
from hostd.config.paths import Paths
from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.kernel.mount import (
    fsids,
    is_mounted,
    move_mount,
    new_filesystem,
    open_tree,
    syncfs,
    umount,
)
from hostd.storage import diskstats, ext4image, loopdev, spare
from hostd.storage import trash as waste
from hostd.storage.base import Opened, Record, StorageSpec, map_ids
from hostd.storage.names import GOLDEN
from hostd.storage.private import being_made, must_exist
from hostd.storage.superblock import INODES_PER_BLOCK, Superblock

IMAGE = "disk.img"
LAYOUT = "layout"
LONGEST_NOTE = 4096
NO_NOTE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)  # the last: of a socket
RESERVED_BLOCKS = 256  # 1 MiB for ext4's delayed allocation; by itself it takes up to 16 MiB of the DISKSPACE

# xino: inode numbers fit CRIU; metacopy: chown of a big file copies nothing; redirect_dir: directories of the
# template can be renamed.  Never index or nfs_export: they tie the upper layer to one lower file system.
OPTIONS = {"xino": "on", "metacopy": "on", "redirect_dir": "on"}
# What a kernel answers that takes no descriptor for a layer, or none opened with O_PATH, or none that is detached.
NO_DESCRIPTORS = (errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP)
SOURCE = "vz"  # what the container sees as the device of /


class Overlay:
    """Limits of space and inodes are those of a file system of its own; the template's pages are shared."""

    name = "overlay"
    copies_can_be_mapped = False  # the kernel maps the layers only, for all who see the overlay

    def create(self, spec: StorageSpec) -> None:
        lower = _template(spec)
        wanted = ext4image.geometry(spec.diskspace_kib, spec.diskinodes)
        with being_made(spec.private) as part:
            empty = ext4image.golden(_golden_directory(lower), wanted)
            ext4image.clone(empty, os.path.join(part, IMAGE))
            note = Note(os.path.basename(lower), wanted.space_kib)
            files.replace(os.path.join(part, LAYOUT), note.text())

    def open(self, spec: StorageSpec, userns: Fd | None) -> Opened:
        must_exist(spec.private)
        lower = _template(spec)
        try:
            return _open(spec.private, lower, userns)
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or error
            reason = f"cannot mount the storage of CT {spec.ctid} in {spec.private}: {what}"
            raise Failure(Exit.FS_CANTMOUNT, reason) from error

    def flush(self, root: str) -> None:
        syncfs(root)

    def release(self, private: str, record: Record) -> None:
        """Mounts of an open that was cut off go; the loop device clears itself with its last mount."""
        for place in _places(private):
            if is_mounted(place):
                umount(place, detach=True)
        loopdev.forget(private, os.path.join(private, IMAGE))

    def destroy(self, private: str, trash: str) -> None:
        waste.discard(private, trash)

    def resize(self, spec: StorageSpec) -> None:
        must_exist(spec.private)
        wanted = ext4image.geometry(spec.diskspace_kib, spec.diskinodes)
        note = Note.read(spec.private)
        if note.space_kib == wanted.space_kib and not note.resizing:
            return
        image = os.path.join(spec.private, IMAGE)
        if not loopdev.left(spec.private, image):
            raise Failure(
                Exit.FS_MOUNTED, f"{image} is mounted: stop or unmount CT {spec.ctid} to resize its disk"
            )
        loopdev.refuse_attached(image)
        before = Superblock.read(image)
        note._replace(resizing=True).write(spec.private)
        try:
            ext4image.resize(image, wanted.space_kib)
        except Failure as failure:
            # As it was, and sound; otherwise the mark has the next start look at it again.
            if failure.exit_code != Exit.RESOURCE and Superblock.read(image).blocks == before.blocks:
                note.write(spec.private)
            raise
        Note(note.tree, wanted.space_kib).write(spec.private)

    def template_of(self, paths: Paths, private: str) -> str | None:
        """Raises Failure(FS_NOPRVT) without a private area of this layout."""
        must_exist(private)
        return os.path.join(paths.template_tree, Note.read(private).tree)

    def other_inodes(self, spec: StorageSpec) -> int | None:
        if spec.diskinodes is None:
            return None
        found, wanted = Superblock.read(os.path.join(spec.private, IMAGE)), ext4image.inodes(spec.diskinodes)
        about = max(found.groups * INODES_PER_BLOCK, wanted // 100)  # mke2fs fills whole blocks, resize2fs whole groups
        return None if abs(found.inodes - wanted) <= about else found.inodes


class Note(NamedTuple):
    """What the file `layout` of a private area says: the template's tree, the space the image was made for, and
    whether that is being changed (or somebody died in the middle of it).
    """

    tree: str
    space_kib: int
    resizing: bool = False

    def text(self) -> str:
        return " ".join(["overlay", self.tree, str(self.space_kib), *(["resizing"] if self.resizing else [])]) + "\n"

    def write(self, private: str) -> None:
        files.replace(os.path.join(private, LAYOUT), self.text())

    @classmethod
    def read(cls, private: str) -> "Note":
        """Raises Failure(FS_NOPRVT) when *private* is no private area of this layout."""
        try:
            layout, tree, space, *resizing = _note_text(private).split()
            if layout == "overlay" and "/" not in tree:
                return cls(tree, int(space), bool(resizing))
        except ValueError:
            pass
        raise Failure(Exit.FS_NOPRVT, f"{private} is not a private area of layout overlay")


def _note_text(private: str) -> str:
    """Empty when there is none.  Below a private area of layout `simfs` it is the guest's, and may be a pipe, say."""
    try:
        with Fd.open(os.path.join(private, LAYOUT), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return ""
            return os.read(file.fileno(), LONGEST_NOTE).decode("utf-8")
    except OSError as error:
        if error.errno in NO_NOTE:
            return ""
        raise


def _template(spec: StorageSpec) -> str:
    """The lower layer.  Raises Failure when the container has none, or it is gone."""
    if spec.template_tree is None:
        raise Failure(Exit.VE_OSTEMPLATE_NOTSET, f"CT {spec.ctid} has no template to stand on")
    if not os.path.isdir(spec.template_tree):
        raise Failure(
            Exit.FS_CANTMOUNT,
            f"the template {spec.template_tree} that CT {spec.ctid} stands on is gone; restore it",
        )
    return spec.template_tree


def _golden_directory(template_tree: str) -> str:
    return os.path.join(os.path.dirname(os.path.dirname(template_tree)), GOLDEN)


def _open(private: str, template_tree: str, userns: Fd | None) -> Opened:
    image = os.path.join(private, IMAGE)
    with ExitStack() as stack:
        device = stack.enter_context(loopdev.attached(private, image))
        disk = stack.enter_context(new_filesystem("ext4", {"source": device, "discard": None}))
        _spare_little(device)
        lower = stack.enter_context(open_tree(template_tree))
        if userns is not None:
            map_ids(disk, userns)
            map_ids(lower, userns)
        root = stack.enter_context(mount_layers(private, lower, disk, mapped=userns is not None))
        return Opened(root, stack.pop_all(), {**diskstats.noted(device), "image": image})


def mount_layers(private: str, lower: Fd, disk: Fd, *, mapped: bool) -> Fd:
    """The overlay of *lower* and the directories `upper` and `work` of *disk*.  Raises OSError.

    *mapped*: both have the ids of a user namespace.  In *private* they are attached for a moment where that must be.
    """
    folder = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
    with Fd.open("upper", folder, dir=disk) as upper, Fd.open("work", folder, dir=disk) as work:
        owner = os.fstat(
            upper.fileno()
        ).st_uid  # through the mapping: what the host calls the container's root
        with fsids(owner, owner) if mapped else nullcontext():
            root = _joined(private, lower, disk, upper, work)
    if _read_only(root):
        root.close()
        raise OSError(errno.EROFS, "overlay is read-only: it could not use its work directory")
    return root


def _joined(private: str, lower: Fd, disk: Fd, upper: Fd, work: Fd) -> Fd:
    try:
        return _mounted(disk, {"lowerdir+": lower, "upperdir": upper, "workdir": work})
    except OSError as error:
        if error.errno not in NO_DESCRIPTORS:
            raise
    # Before Linux 6.13 layers are named, before 6.15 they must be attached somewhere.
    with _attached(private, lower, disk):
        return _mounted(disk, {"lowerdir": lower.path, "upperdir": upper.path, "workdir": work.path})


def _mounted(disk: Fd, layers: Mapping[str, str | Fd]) -> Fd:
    """With the inodes that are kept back, if need be; tried again here, for a layer can be attached only once.

    Without any free one the kernel says so; with too few, as a file that is still being deleted leaves them, it
    mounts the overlay read-only without a word.
    """
    options = {"source": SOURCE, **layers, **OPTIONS}
    try:
        root = new_filesystem("overlay", options)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    else:
        if not _read_only(root):
            return root
        root.close()
    with spare.released(disk.path):
        return new_filesystem("overlay", options)


def _read_only(root: Fd) -> bool:
    return bool(os.statvfs(root.path).f_flag & os.ST_RDONLY)


@contextmanager
def _attached(private: str, lower: Fd, disk: Fd) -> Iterator[None]:
    """Have both mounts in the file system for a moment; an overlay makes copies of its layers' mounts."""
    with ExitStack() as stack:
        for mount, place in zip((lower, disk), _places(private), strict=True):
            os.makedirs(place, exist_ok=True)
            stack.callback(os.rmdir, place)
            move_mount(mount, place)
            stack.callback(umount, place, detach=True)
        yield


def _places(private: str) -> tuple[str, str]:
    return os.path.join(private, "lower.mnt"), os.path.join(private, "disk.mnt")


def _spare_little(device: str) -> None:
    """Lower what ext4 keeps back; a setting of the mounted file system, gone with it."""
    name = os.path.basename(device)
    try:
        with open(f"/sys/fs/ext4/{name}/reserved_clusters", "r+", encoding="ascii") as file:
            if int(file.read()) > RESERVED_BLOCKS:
                file.seek(0)
                file.write(str(RESERVED_BLOCKS))
    except OSError:
        pass  # a little less of the disk can be used
