"""What containers see of themselves in /proc and /sys: files of a FUSE server that the keeper runs (`hostd.proc`).

One file system for all of them is mounted in the run directory; each container gets its files as mounts of their own.
The keeper holds the connection, so a server or a daemon that dies is replaced and no mount breaks.  Only when the
keeper is killed as well is the connection lost: then the next daemon makes another, and puts it in place of the old.
Nothing here keeps a container from starting: without the server it sees the files of the host.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterable, Mapping
from itertools import islice

from hostd import proc
from hostd.cgroup.tree import CgroupTree
from hostd.checkpoint.aside import bounded
from hostd.checkpoint.precheck import unescaped
from hostd.config.paths import Paths
from hostd.container.container import Container
from hostd.container.world import Keeper
from hostd.kernel.fd import Fd
from hostd.kernel.fuse import new_connection
from hostd.kernel.graft import replace
from hostd.kernel.mount import mount_points, move_mount, open_tree, umount
from hostd.kernel.namespace import namespace
from hostd.log import about, log
from hostd.proc.points import CPU, KERNELS, OPENVZ, POINTS, PROCESSORS, openvz_of, processors_of

NAME = "vzviews"
HELPER, CONNECTION, NOTE = "views", "views:connection", "views:note"  # as the keeper knows them
MOST_PLACES = 256  # that are made new in one container: a guest may have any number of copies
PATIENCE = 30.0  # seconds for the server to answer for the first time: as PID 1 has them on a busy host
PAUSE = 300.0  # seconds from then on without another attempt: a start does not wait for the same again
RENEWAL = 5.0  # seconds for the mounts of one container, which may be hostile
PROC = "/proc"
_OWN = {CPU: processors_of, PROC: openvz_of}  # directories that each container has of its own


class Views:
    """The files of the server.  *offered*: there can be one.  *held*: what the keeper kept of an earlier daemon."""

    def __init__(
        self, paths: Paths, keeper: Keeper, tree: CgroupTree, held: dict[str, Fd], *, offered: bool
    ) -> None:
        self._directory = paths.views_dir
        self._keeper = keeper
        self._arguments = (tree.root_name, *places(tree))
        kept = [fd for name in (CONNECTION, NOTE) if (fd := held.pop(name, None)) is not None]
        self._inherited = kept if len(kept) == 2 else []  # one without the other is of no use
        self._offered = offered
        self._files: dict[str, Fd] = {}  # by mount point inside; each keeps the kernel from asking for its name again
        self._making = asyncio.Lock()
        self._failed: float | None = None  # when the last attempt did
        self._lost = False  # the connection of the containers that are taken over

    async def ready(self) -> str:
        """The directory with the files, once the server answers; "" where there is none."""
        async with self._making:
            if not self._files and self._offered and not self._failed_lately():
                await self._make()
        return self._directory if self._files else ""

    def trees(self, own: Mapping[str, Fd]) -> dict[str, Fd]:
        """A detached mount for each mount point in a container, after `ready`.  The server is not asked for it.

        *own*: the directories of the container's own, in place of all that is otherwise mounted below their places.
        """
        made = dict(own)
        wanted = [point for point in self._files if not any(point.startswith(f"{place}/") for place in own)]
        try:
            return made | {point: open_tree(self._files[point].path) for point in wanted}
        except OSError as error:
            log.error("containers see the host's figures: %s: %s", self._directory, error)
            return made

    async def own(self, ctid: int, *, openvz: bool) -> dict[str, Fd]:
        """The directories of container *ctid*'s own, after `ready`, as detached mounts by their places; with *openvz*
        also the one that is its /proc.  Those that cannot be had are left out.

        The server is asked for these: it may take as long as a server takes to be started again.
        """
        wanted = [place for place in _OWN if openvz or place != PROC]
        return {place: tree for place in wanted if (tree := await self._own(_OWN[place](ctid))) is not None}

    async def _own(self, name: str) -> Fd | None:
        if not self._files or self._failed_lately():
            return None
        place = f"{self._directory}/{name}"
        try:
            return await bounded(lambda: _whole(place), PATIENCE)
        except TimeoutError:
            self._failed = time.monotonic()
            log.error("it is without files of its own: their server does not answer")
        except OSError as error:
            log.error("it is without files of its own: %s", error)
        return None

    async def take_over(self, running: Iterable[Container]) -> None:
        """At the start of a daemon: its version of the server, behind the mounts of the containers that have them."""
        having = [ct for ct in running if ct.record is not None and ct.record.views]
        same = bool(self._inherited) and self._attached()  # else somebody has unmounted it
        if having or self._inherited:
            same = bool(await self.ready()) and same
        self._lost = not same
        for ct in having if self._lost else ():
            with about(ct.ctid):
                await self._renew(ct)

    async def take_over_late(self, ct: Container) -> None:
        """One that an earlier daemon had started as well, after the others."""
        if self._lost and ct.record is not None and ct.record.views:
            await self.ready()
            with about(ct.ctid):
                await self._renew(ct)

    async def leave(self) -> None:
        """Nobody needs them any more."""
        self._drop()
        await asyncio.to_thread(self._detach)

    async def _make(self) -> None:
        try:
            if not (self._inherited and self._attached()):
                connection, note = await asyncio.to_thread(self._connect)
                with connection, note:  # left open here, it would live on when the keeper has given it up
                    self._keeper.hold(CONNECTION, connection)
                    self._keeper.hold(NOTE, note)
            self._close_inherited()
            program = os.path.join(os.path.dirname(os.path.abspath(proc.__file__)), "__main__.py")
            self._keeper.helper(HELPER, (sys.executable, "-ISE", program, *self._arguments), (CONNECTION, NOTE))
            async with asyncio.timeout(PATIENCE):
                self._files = await asyncio.to_thread(self._open)
        except (OSError, TimeoutError) as error:
            log.error("containers see the host's figures: no server of them: %s", str(error) or "it does not answer")
            self._failed = time.monotonic()
            await self.leave()

    def _failed_lately(self) -> bool:
        return self._failed is not None and time.monotonic() < self._failed + PAUSE

    def _connect(self) -> tuple[Fd, Fd]:
        self._detach()
        os.makedirs(self._directory, exist_ok=True)
        connection, mount = new_connection(NAME)
        with mount:
            move_mount(mount, self._directory)
        return connection, Fd(os.memfd_create(NAME, os.MFD_CLOEXEC), NAME)

    def _open(self) -> dict[str, Fd]:
        return {point: Fd.open(f"{self._directory}/{name}", os.O_PATH) for name, point in POINTS.items()}

    def _attached(self) -> bool:
        """Not by a look at the directory, which is the server's."""
        with open("/proc/thread-self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return self._directory in mount_points(file.read())

    def _detach(self) -> None:
        while self._attached():
            umount(self._directory, detach=True)

    def _drop(self) -> None:
        """Whoever waits for the server gets an error once the keeper has closed the connection."""
        self._close_inherited()
        for file in self._files.values():
            file.close()
        self._files = {}
        for name in (HELPER, CONNECTION, NOTE):
            self._keeper.forget(name)

    def _close_inherited(self) -> None:
        for fd in self._inherited:
            fd.close()
        self._inherited = []

    async def _renew(self, ct: Container) -> None:
        """New mounts for those of a connection that is lost, or none; what was mounted over them inside stays."""
        if ct.process is None:  # it has ended while others were renewed
            return
        process = ct.process
        try:
            async with asyncio.timeout(RENEWAL):
                places = await asyncio.to_thread(stale, f"/proc/{process.pid}/mountinfo")  # which may be long
                wanted = {place: await self._tree(ct, point) for place, point in places.items()}
                await asyncio.wrap_future(replace(namespace(process.pidfd, "mnt"), wanted, KERNELS))
            log.info("its /proc files have %s server", "a new" if self._files else "no")
        except (OSError, TimeoutError) as error:
            log.error("its /proc files are without a server: %s", str(error) or "its mounts do not answer")

    async def _tree(self, ct: Container, point: str) -> Fd | None:
        file = self._files.get(point)
        if file:
            return open_tree(file.path)
        return await self._own(_OWN[point](ct.ctid)) if point in _OWN else None


def _whole(place: str) -> Fd:
    """What will be mounted on is asked for as well: then the kernel knows it, and PID 1's making need not wait."""
    tree = open_tree(place)
    try:
        os.stat(f"{tree.path}/{KERNELS}")
    except OSError:
        tree.close()
        raise
    return tree


def stale(mountinfo: str) -> dict[str, str]:
    """Where in a container a file of ours is what one sees, and which: place -> the mount point that it is made for."""
    seen: dict[str, str] = {}
    with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            root, place = fields.split(" ")[3:5]
            ours = rest.startswith(f"fuse.{NAME} ")
            seen[unescaped(place)] = _made_for(root.lstrip("/")) if ours else ""
    return dict(islice(((place, point) for place, point in seen.items() if point), MOST_PLACES))


def _made_for(name: str) -> str:
    """The mount point of *name* in our directory, also in an earlier daemon's; "" for none."""
    own = {OPENVZ: PROC, PROCESSORS: CPU}.get(name.partition("-")[0], "")
    return own if own and "/" not in name else POINTS.get(name, "")


def places(tree: CgroupTree) -> list[str]:
    """CONTROLLER=DIRECTORY of every hierarchy that has figures, for the server."""
    v1 = tree.v1 if tree.mode != "v2" else ()
    places = [f"{controller}={one.path}" for one in v1 for controller in sorted(one.controllers)]
    return [*places, *([f"unified={tree.unified.path}"] if tree.unified else [])]
