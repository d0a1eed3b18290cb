"""Save a running container to disk and end it."""

import os
from dataclasses import dataclass

from hostd.checkpoint import cgmap, criu, images_dir, launch, log_text, precheck, saved, state
from hostd.checkpoint.job import DumpJob
from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.log import log


@dataclass(frozen=True, slots=True)
class DumpSpec:
    """What to save, and where.

        *images_dir* becomes the checkpoint (`Dump.CTID`) when it is complete.  *cache_dir* keeps CRIU's
    probe of the kernel between calls.  *channel* is the inode of PID 1's end of its channel, which must lie
    in the container's own network namespace; *runtime* is the name of what is /.vz;
    *unix* are inodes of further sockets whose peer is outside.
    *cgroups* are the container's directories, one per hierarchy.  *lower* and *upper* are the directories of
    an overlay root (*lower* as the template's tree, *upper* on the mounted disk image), None for other
    roots.
    """

    pid: int
    images_dir: str
    cache_dir: str
    uid_base: int | None
    channel: int
    runtime: str
    cgroups: tuple[str, ...]
    unix: tuple[int, ...] = ()
    lower: Fd | None = None
    upper: Fd | None = None
    leave_running: bool = False


def hierarchies(cgroups: tuple[str, ...]) -> dict[str, str]:
    """Hierarchy -> the container's directory `/sys/fs/cgroup/HIERARCHY/ROOT/CTID`."""
    return {os.path.basename(os.path.dirname(os.path.dirname(path))): path for path in cgroups}


def check(spec: DumpSpec) -> None:
    """Raise Failure(16) with the first reason when the container cannot be checkpointed; nothing is touched.
    """
    if spec.uid_base is None:
        raise Failure(Exit.CHKPNT, "Checkpointing failed: privileged containers are not supported yet")
    criu.find()
    reasons = precheck.reasons(spec.pid, tuple(saved.EXTERNAL), tasks=cgmap.pids(spec.cgroups[0]))
    for reason in reasons[1:]:
        log.warning("cannot be checkpointed: %s", reason)
    if reasons:
        more = f" (and {len(reasons) - 1} more, see the log)" if len(reasons) > 1 else ""
        raise Failure(Exit.CHKPNT, f"Checkpointing failed: {reasons[0]}{more}")


async def dump(spec: DumpSpec) -> None:
    """Save the container; PID 1 is gone afterwards, unless *leave_running*.

    Raises Failure(16, "Checkpointing failed: ..."): then it runs on, and an older checkpoint is still there.
    """
    check(spec)
    images_dir.create(spec.images_dir, spec.uid_base or 0)
    part = images_dir.part(spec.images_dir)
    lock = images_dir.lock(part)
    assert lock is not None, "the directory was just made"
    with lock:
        layers = [spec.lower.fileno(), spec.upper.fileno()] if spec.lower and spec.upper else []
        result = await launch.run(_job(spec, lock, layers), [lock.fileno(), *layers])
    if result is None:  # only the kernel knows now
        result = (await state.settled(spec.images_dir)).result()
    for warning in result.warnings:
        log.warning("checkpoint: %s", warning)
    if not result.ok:
        if errors := log_text.tail(f"{part}/dump.log"):
            log.warning("criu dump: %s", errors)
        images_dir.remove(part)
        raise Failure(Exit.CHKPNT, f"Checkpointing failed: {result.error}")


def _job(spec: DumpSpec, lock: Fd, layers: list[int]) -> DumpJob:
    program = criu.find()
    return DumpJob(
        path=spec.images_dir,
        criu=program.command(),
        version=program.version,
        cache=spec.cache_dir,
        pid=spec.pid,
        uid_base=spec.uid_base or 0,
        channel=spec.channel,
        unix=list(spec.unix),
        runtime=spec.runtime,
        cgroups=hierarchies(spec.cgroups),
        layers=layers,
        lock=lock.fileno(),
        leave_running=spec.leave_running,
    )
