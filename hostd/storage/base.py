"""What every storage layout can do, and the data it works on.

On disk, ids are always those of the container (0..65535); what the container and the host see is made by
idmapped mounts.  A layout keeps no state in memory: everything is in the private area, the kernel, or the
record.
"""

import errno
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from hostd.config.paths import Paths
from hostd.kernel.fd import Fd
from hostd.kernel.mount import mount_setattr

Record = Mapping[str, str]


class StorageSpec(NamedTuple):
    """The storage of one container.

    private        VE_PRIVATE, absolute, expanded
    layout         name of the layout
    template_tree  unpacked template: the lower layer of an overlay; what `simfs` copies at create
    diskspace_kib  hard limit of the space, KiB; None: the layout's default
    diskinodes     hard limit of the number of files; None: the layout's default
    """

    ctid: int
    private: str
    layout: str
    template_tree: str | None
    diskspace_kib: int | None = None
    diskinodes: int | None = None


class Opened:
    """An open storage: `root` is its tree as a detached mount.

    Attach `root` somewhere before this is closed; from then on the mounts alone keep the storage, and when
    the last one goes the kernel frees everything.  Closing an unattached one releases it at once.
    """

    __slots__ = ("_fds", "_record", "root")

    def __init__(self, root: Fd, fds: ExitStack, record: Record) -> None:
        self.root = root
        self._fds = fds
        self._record = dict(record)

    def record(self) -> dict[str, str]:
        """What is worth remembering about it, for people and for `Layout.release`."""
        return dict(self._record)

    def close(self) -> None:
        self._fds.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Layout(Protocol):
    """One way to keep a container's files.  Raises Failure with the exit code OpenVZ has for it."""

    @property
    def name(self) -> str:
        """The word behind --layout and VE_LAYOUT."""

    @property
    def copies_can_be_mapped(self) -> bool:
        """The tree can be opened unmapped, so that the host sees the ids on disk, and copies of its mount be mapped."""

    def create(self, spec: StorageSpec) -> None:
        """Make the private area from `spec.template_tree`: complete and durable, or not there at all."""

    def open(self, spec: StorageSpec, userns: Fd | None) -> Opened:
        """The root tree with its ids mapped as in *userns*; None: not mapped (a privileged container)."""

    def flush(self, root: str) -> None:
        """Write to the disk what the container mounted at *root* has changed, where the disk is its own.  OSError."""

    def release(self, private: str, record: Record) -> None:
        """After a crash or a stop: let go of what is not in use any more.  Idempotent."""

    def destroy(self, private: str, trash: str) -> None:
        """Rename the private area into *trash* and have it deleted in the background."""

    def resize(self, spec: StorageSpec) -> None:
        """Make the limits of the stopped container those of *spec*.

        Failure(RESOURCE): the storage must not be opened.  With any other it is as it was.
        """

    def template_of(self, paths: Paths, private: str) -> str | None:
        """The template tree an existing private area stands on, None when on none."""

    def other_inodes(self, spec: StorageSpec) -> int | None:
        """How many inodes the disk of the container has, when they are not those that *spec* wants.

        None when they are, or nothing of its own limits them.  OSError, Failure(RESOURCE).
        """


def map_ids(tree: Fd, userns: Fd) -> None:
    """Show *tree*, a detached mount, with the ids of *userns*.  OSError."""
    try:
        mount_setattr(tree, userns=userns)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        reason = "its file system cannot map ids on this kernel; ext4, xfs and btrfs can"
        raise OSError(errno.EINVAL, reason, tree.path) from error
