"""Save a running container to disk and end it."""

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from hostd.checkpoint import (
    cgmap,
    criu,
    dev_tree,
    images_dir,
    irmap,
    log_text,
    netfilter,
    network,
    precheck,
    private,
    run,
    saved,
)
from hostd.checkpoint.aside import SILENT, aside, begun, bounded
from hostd.checkpoint.boot_id import boot_id_of
from hostd.errors import Exit, Failure
from hostd.kernel.descriptors import open_by_handle
from hostd.kernel.fd import Fd
from hostd.kernel.namespace import CLONE_FS, IDS, unshare
from hostd.log import log, timed
from hostd.proc.points import CPU, KERNELS_CPU

# Things that pass by themselves: a connection not yet accepted, a message with descriptors in a queue.
TRANSIENT = ("in-flight", "Control messages in queue")
ATTEMPTS = 3
PATIENCE = 60.0  # seconds, for what a guest can hold up: a look at all that its processes have open

T = TypeVar("T")


class DumpSpec(NamedTuple):
    """What to save, and where.

        *images_dir* becomes the checkpoint (`Dump.CTID`) when it is complete.  *cache_dir* keeps CRIU's
    probe of the kernel between calls.  *channel* is the inode of PID 1's end of its channel, which must lie
    in the container's own network namespace; *runtime* is the name of what is /.vz;
    *cgroups* are the container's directories, one per hierarchy.  *lower* and *upper* are the directories of
    an overlay root (*lower* as the template's tree, *upper* on the mounted disk image), None for other
    roots; *disk* is where the root is mounted on the host.  *openvz*: its /proc is the server's.  *settings* and
    *configured* as in `Saved`; *counted* and *spent* answer what is to be there, once all tasks are stopped.
    """

    pid: int
    images_dir: str
    cache_dir: str
    uid_base: int | None
    channel: int
    runtime: str
    cgroups: tuple[str, ...]
    uid_count: int = IDS
    lower: Fd | None = None
    upper: Fd | None = None
    disk: str = ""
    openvz: bool = False
    settings: Mapping[str, str] = {}
    counted: Callable[[], dict[str, list[int]]] = dict
    configured: Mapping[str, str] = {}
    spent: Callable[[], tuple[int, int]] = lambda: (0, 0)


def hierarchies(cgroups: tuple[str, ...]) -> dict[str, str]:
    """Hierarchy -> the container's directory `/sys/fs/cgroup/HIERARCHY/ROOT/CTID`."""
    return {os.path.basename(os.path.dirname(os.path.dirname(path))): path for path in cgroups}


def check(spec: DumpSpec) -> None:
    """Raise Failure(16) with the first reason when the container cannot be checkpointed; nothing is touched.
    """
    if spec.uid_base is None:
        raise Failure(Exit.CHKPNT, "Checkpointing failed: privileged containers are not supported yet")
    criu.find()
    reasons = precheck.reasons(spec.pid, tuple(saved.external(openvz=spec.openvz)), tasks=cgmap.pids(spec.cgroups[0]))
    for reason in reasons[1:]:
        log.warning("cannot be checkpointed: %s", reason)
    if reasons:
        more = f" (and {len(reasons) - 1} more, see the log)" if len(reasons) > 1 else ""
        raise Failure(Exit.CHKPNT, f"Checkpointing failed: {reasons[0]}{more}")


async def checked(spec: DumpSpec) -> None:
    """`check`, in a thread of its own, and no longer than PATIENCE: it looks at what the container has open."""
    try:
        await bounded(lambda: check(spec), PATIENCE)
    except TimeoutError:
        raise Failure(Exit.CHKPNT, f"Checkpointing failed: {SILENT}") from None


async def dump(spec: DumpSpec) -> None:
    """Save the container; PID 1 is gone afterwards.

    Raises Failure(16, "Checkpointing failed: ..."): then it runs on, and an older checkpoint is still there; but for
    a disk that fails at the very end, when the container is in the images only: then they are kept, and it is said.
    """
    await checked(spec)
    images_dir.create(spec.images_dir, spec.uid_base or 0)
    part = images_dir.part(spec.images_dir)
    lock = images_dir.lock(part)
    assert lock is not None, "the directory was just made"
    with lock:
        try:
            unresolved = await aside(lambda: _dump(spec, criu.find(), lock))
        except Failure:
            images_dir.remove(part)
            raise
        except (run.CriuFailed, OSError) as error:
            if errors := log_text.tail(f"{part}/dump.log"):
                log.warning("criu dump: %s", errors)
            images_dir.remove(part)
            raise Failure(Exit.CHKPNT, f"Checkpointing failed: {error}") from error
        with timed("dump: sync"):
            try:
                await aside(lambda: images_dir.commit(spec.images_dir, spec.disk))
            except OSError as error:
                where = f"the container is down, and its checkpoint {spec.images_dir} may not be whole"
                raise Failure(Exit.CHKPNT, f"Checkpointing failed: {where}: {error}") from error
    for watch in unresolved:
        log.warning("checkpoint: %s", watch)


def _dump(spec: DumpSpec, program: criu.Criu, lock: Fd) -> list[str]:
    """CRIU, and our part of the images, taken while all tasks are stopped: what a service that starts has made by then
    (a cgroup, a device, a route) is in both or in neither.  Answers watches that may be lost.
    """
    external = _external(spec)

    def ours() -> None:
        check(spec)  # again: of what has come since, CRIU would dump some, end it, and could not restore it
        saved.store(run.IMAGES, _saved(spec, external, program.version))

    def at_stage(_stage: str) -> None:
        with timed("dump: ask"):
            _within(ours)

    with private.mounts({"images": images_dir.part(spec.images_dir)}, {}, spec.cache_dir), timed("dump: criu"):
        for attempt in range(1, ATTEMPTS + 1):
            unresolved = _within(lambda: _map_watches(spec, run.IMAGES))  # CRIU reads it before it stops anybody
            try:
                run.dump(program.command(), dump_arguments(spec, external), lock, at_stage)
                break
            except run.CriuFailed as failure:
                netfilter.check(run.IMAGES)  # the hook does not say why
                if attempt == ATTEMPTS or not any(text in str(failure) for text in TRANSIENT):
                    raise
                _clear(run.IMAGES)
    return unresolved


def _within(work: Callable[[], T]) -> T:
    """What *work* answers, by a thread that stands in the mount namespace of this one.  Raises CriuFailed when it takes
    longer than PATIENCE: the container's file systems may be served by programs inside, and those are stopped.
    """

    def apart() -> T:
        unshare(CLONE_FS, "directories of a thread")  # else this one could not go home to the host's namespace
        return work()

    try:
        return begun(apart, "dump").result(PATIENCE)
    except TimeoutError:
        raise run.CriuFailed(SILENT) from None


def _clear(images: str) -> None:
    for name in os.listdir(images):
        if name.endswith(".img"):
            os.unlink(f"{images}/{name}")


def _external(spec: DumpSpec) -> dict[str, str]:
    points = {point for point, _, _ in precheck.mounts(f"/proc/{spec.pid}/mountinfo")}
    if KERNELS_CPU not in points:  # its server had gone, and the kernel's own, which CRIU knows, is in its place
        points.discard(CPU)
    return {point: key for point, key in saved.external(openvz=spec.openvz).items() if point in points}


def _saved(spec: DumpSpec, external: dict[str, str], version: str) -> saved.Saved:
    base = spec.uid_base or 0
    with private.netns_of(spec.pid):
        networks = network.save()
    return saved.Saved(
        runtime=spec.runtime,
        uid_base=base,
        channel=spec.channel,
        external=external,
        dev=dev_tree.save(spec.pid, base),
        cgroups=cgmap.save(hierarchies(spec.cgroups), base),
        network=networks,
        settings=dict(spec.settings),
        counted=spec.counted(),
        configured=dict(spec.configured),
        criu=version,
        uid_count=spec.uid_count,
        boot_id=boot_id_of(spec.pid),
        spent=list(spec.spent()),
    )


def _map_watches(spec: DumpSpec, directory: str) -> list[str]:
    """Write CRIU's map of inotify watches on the overlay root."""
    if spec.lower is None or spec.upper is None:
        return []
    root = f"/proc/{spec.pid}/root"
    wanted = irmap.watches(cgmap.pids(spec.cgroups[0]), irmap.kernel_device(os.stat(root).st_dev))
    if not wanted:
        return []
    layers = irmap.Layers(spec.lower.fileno(), spec.upper.fileno())
    found = irmap.resolve(wanted, root, layers, open_by_handle)
    with open(f"{directory}/irmap-cache", "wb") as file:
        file.write(irmap.cache_file(found.paths))
    return found.unresolved


def dump_arguments(spec: DumpSpec, external: dict[str, str]) -> list[str]:
    """What tells this container from another."""
    words = ["-t", str(spec.pid)]
    words += ["--external", f"unix[{spec.channel}]"]
    for point, key in external.items():
        words += ["--external", f"mnt[{point}]:{key}"]
    return words
