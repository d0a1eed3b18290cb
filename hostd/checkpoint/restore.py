"""Bring a saved container back to life, as a child of the keeper."""

import os
import socket
from dataclasses import dataclass, field

from hostd.checkpoint import criu, images_dir, launch, log_text, saved, state
from hostd.checkpoint.dump import hierarchies
from hostd.checkpoint.images_dir import Result
from hostd.checkpoint.job import RestoreJob
from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.log import log


@dataclass(frozen=True, slots=True)
class RestoreSpec:
    """What to restore, and with what.

        *root* is a freshly made detached tree of the container's storage, idmapped as at the dump.
    *uid_base* must be `saved_uid_base(images_dir)`.  *runtime* is where the runtime `saved_runtime(images_dir)`
    is mounted.  *channel* is PID 1's end of a fresh SEQPACKET pair of
    the host's; PID 1 then makes a lasting one (`newpair`).  *devices* says for each network device inside
    what the prepared container end is called on the host now.  *cgroup_joins* are `tasks` and `cgroup.procs`
    files, open for writing (`CtCgroup.all_joins`).
    """

    images_dir: str
    cache_dir: str
    uid_base: int
    runtime: str
    root: Fd
    channel: Fd | socket.socket
    cgroups: tuple[str, ...]
    cgroup_joins: tuple[Fd, ...]
    devices: dict[str, str] = field(default_factory=dict)


def saved_uid_base(path: str) -> int:
    """The first id of the range that the checkpoint at *path* needs.  Raises Failure(17) when it is not
    complete.
    """
    return saved.load(path).uid_base


def saved_runtime(path: str) -> str:
    """The name of the runtime that is /.vz of the checkpoint at *path*.  Raises Failure(17) when it is not complete."""
    return saved.load(path).runtime


async def restore(spec: RestoreSpec) -> Result:
    """PID 1's `pid` and `identity`; it runs, and its parent is the keeper once this returns.

        Raises Failure(17, "Restoring failed: ..."): no process of it is left, and the checkpoint can be
    restored again.
    """
    kept = saved.load(spec.images_dir)
    check(kept, spec)
    lock = images_dir.lock(spec.images_dir)
    if lock is None:
        raise Failure(Exit.RESTORE, f"Restoring failed: {spec.images_dir} is in use by another restore")
    with lock:
        _forget(spec.images_dir)
        job = _job(spec, kept, lock)
        result = await launch.run(job, [job.lock, job.root, job.channel, *job.join])
    if result is None:
        result = (await state.settled(spec.images_dir)).result()
    for warning in result.warnings:
        log.warning("restore: %s", warning)
    if not result.ok:
        log.warning("criu restore: %s", log_text.tail(f"{spec.images_dir}/restore.log"))
        raise Failure(Exit.RESTORE, f"Restoring failed: {result.error}")
    return result


def check(kept: saved.Saved, spec: RestoreSpec) -> None:
    """Raise Failure(17) when these images cannot be restored here."""
    here = os.uname().machine
    if kept.machine != here:
        raise Failure(Exit.RESTORE, f"Restoring failed: saved on {kept.machine}, this is {here}")
    if kept.uid_base != spec.uid_base:
        need = f"{kept.uid_base}..{kept.uid_base + 65535}"
        raise Failure(Exit.RESTORE, f"Restoring failed: it needs the user ids {need}, not {spec.uid_base}")


def _forget(path: str) -> None:
    try:
        os.unlink(f"{path}/{images_dir.RESULT}")
    except FileNotFoundError:
        pass


def _job(spec: RestoreSpec, kept: saved.Saved, lock: Fd) -> RestoreJob:
    return RestoreJob(
        path=spec.images_dir,
        criu=criu.find().command(preload=True),
        cache=spec.cache_dir,
        uid_base=spec.uid_base,
        root=spec.root.fileno(),
        runtime=spec.runtime,
        join=[fd.fileno() for fd in spec.cgroup_joins],
        cgroups=hierarchies(spec.cgroups),
        channel=spec.channel.fileno(),
        lock=lock.fileno(),
        devices=dict(spec.devices),
    )
