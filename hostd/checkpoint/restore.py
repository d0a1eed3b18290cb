"""Bring a saved container back to life, as a child of the keeper."""

import os
from collections.abc import Mapping
from typing import NamedTuple

from hostd.checkpoint import cgmap, criu, dev_tree, images_dir, log_text, network, pressure, private, run, saved
from hostd.checkpoint.aside import aside, begun
from hostd.checkpoint.boot_id import BOOT_ID, FILE, boot_id_tree
from hostd.checkpoint.cpu_tree import processors
from hostd.checkpoint.dump import hierarchies
from hostd.errors import BadCheckpoint, Exit, Failure, VzError
from hostd.kernel.descriptors import pidfd_getfd
from hostd.kernel.fd import Fd
from hostd.kernel.process import Process
from hostd.log import log, timed
from hostd.proc.points import CPU, POINTS, in_kernels

# Where `private` attaches what.
PLACES = {
    "/.vz": "runtime", "/dev": "dev", "/sys/fs/cgroup": "cgroup",
    BOOT_ID: f"boot/{FILE}", in_kernels(BOOT_ID): f"boot/{FILE}",
    **{point: f"views/{name}" for name, point in POINTS.items()},
    saved.WHOLE: "proc", CPU: "processors",
}  # fmt: skip

PATIENCE = 5.0  # seconds, for what a guest can hold up


class RestoreSpec(NamedTuple):
    """What to restore, and with what.

        *root* is a freshly made detached tree of the container's storage, idmapped as at the dump.
    *uid_base* must be where the `ids` of what is saved begin.  *runtime* is where the runtime that it names
    is mounted.  *channel* is PID 1's end of a fresh SEQPACKET pair of the host's; PID 1 then makes a lasting one
    (`newpair`).  *devices* says for each network device inside what the prepared container end is called on the host
    now.  *views* is the directory with the files that a container sees of itself; "": this host has none, and it sees
    the host's.  *own* are the directories of its own among them, detached, by their places: its /proc, if the
    checkpoint has OpenVZ's files, and its processors.  *join* and *into* are the ways into the container's cgroups
    (`CtCgroup.joins`, `.into`): fresh ones, as the kernel may kill whoever is born where something was killed before.
    """

    images_dir: str
    cache_dir: str
    uid_base: int
    runtime: str
    root: Fd
    channel: Fd
    cgroups: tuple[str, ...]
    join: tuple[Fd, ...]
    into: Fd | None
    devices: Mapping[str, str] = {}
    views: str = ""
    own: Mapping[str, Fd] = {}


async def restore(spec: RestoreSpec) -> Process:
    """PID 1; it runs, and its parent is the keeper once this returns.

    Raises Failure(17, "Restoring failed: ..."), or BadCheckpoint where the images are shown to be damaged: what CRIU
    leaves is to be killed with the container's cgroup; the checkpoint can be restored again, unless
    `images_dir.has_run`.
    """
    kept = saved.load(spec.images_dir)
    check(kept, spec)
    with images_dir.hold(spec.images_dir) as lock:
        images_dir.forget_restore(spec.images_dir)
        try:
            process, lost = await aside(lambda: _restore(spec, kept, criu.find(), lock))
        except (run.CriuFailed, OSError) as error:
            log.warning("criu restore: %s", log_text.tail(f"{spec.images_dir}/restore.log"))
            raise _reason(error) from error
    for what in lost:
        log.warning("restore: %s", what)
    return process


def _reason(error: run.CriuFailed | OSError) -> VzError:
    text = f"Restoring failed: {error}"
    damaged = isinstance(error, run.CriuFailed) and error.damaged
    return BadCheckpoint(text) if damaged else Failure(Exit.RESTORE, text)


def check(kept: saved.Saved, spec: RestoreSpec) -> None:
    """Raise Failure(17) when these images cannot be restored here."""
    here = os.uname().machine
    if kept.machine != here:
        raise Failure(Exit.RESTORE, f"Restoring failed: saved on {kept.machine}, this is {here}")
    if kept.uid_base != spec.uid_base:
        need = f"{kept.uid_base}..{kept.uid_base + kept.uid_count - 1}"
        raise Failure(Exit.RESTORE, f"Restoring failed: it needs the user ids {need}, not {spec.uid_base}")
    if saved.WHOLE in kept.external and saved.WHOLE not in spec.own:
        why = "its /proc has the files of OpenVZ, and this host has no server of them (see `vzctl check`, FUSE)"
        raise Failure(Exit.RESTORE, f"Restoring failed: {why}")


def _restore(spec: RestoreSpec, kept: saved.Saved, program: criu.Criu, lock: Fd) -> tuple[Process, list[str]]:
    """Attach what the images call external, bring the tasks back, then what CRIU has lost."""
    cgroups = hierarchies(spec.cgroups)
    groups = cgmap.without_v1(cgroups, kept.cgroups)
    lost: list[str] = []

    def at_stage(stage: str) -> None:
        if stage == run.NAMESPACES_MADE:
            lost.extend(cgmap.make_room(cgroups, groups))
        else:
            lost.extend(cgmap.load(cgroups, groups))

    cgmap.make(cgroups, groups, spec.uid_base)
    with private.mounts(_paths(spec, kept), _trees(spec, kept), spec.cache_dir), timed("restore: criu"):
        if "/sys/fs/cgroup" in kept.external:
            private.unrestrict("cgroup")
        pid = run.restore(
            program.command(preload=True),
            restore_arguments(spec, kept),
            {run.LOCK: lock, run.CHANNEL: spec.channel},
            spec.join,
            spec.into,
            at_stage if groups else None,
        )
    with timed("restore: mend"):
        return Process.open(pid), lost + _mend(spec, kept, pid)


def _paths(spec: RestoreSpec, kept: saved.Saved) -> dict[str, str]:
    paths = {"images": spec.images_dir, "runtime": spec.runtime}
    if spec.views:
        paths["views"] = spec.views
    if "/sys/fs/cgroup" in kept.external:
        # A cgroup2 mount of the container's own is its cgroup in the host's: one file system, entered further down.
        paths["cgroup"] = spec.cgroups[-1]
    return paths


def _trees(spec: RestoreSpec, kept: saved.Saved) -> dict[str, Fd]:
    dev = dev_tree.replay(kept.dev, spec.uid_base)
    own = {PLACES[point]: tree for point, tree in spec.own.items() if point in kept.external}
    if CPU in kept.external and CPU not in spec.own:
        own[PLACES[CPU]] = processors()
    return {"root": spec.root, "dev": dev, "boot": boot_id_tree(kept.boot_id), **own}


def restore_arguments(spec: RestoreSpec, kept: saved.Saved) -> list[str]:
    """Where everything is now that the images name."""
    words = ["--root", f"{private.RUN}/root"]
    words += ["--inherit-fd", f"fd[{run.CHANNEL}]:socket:[{kept.channel}]"]
    for point, key in kept.external.items():
        host_s_own = point in POINTS.values() and not spec.views
        words += ["--external", f"mnt[{key}]:{point if host_s_own else f'{private.RUN}/{PLACES[point]}'}"]
    for inside, now in spec.devices.items():
        words += ["--external", f"netdev[{inside}]:{now}"]
    return words


def _mend(spec: RestoreSpec, kept: saved.Saved, pid: int) -> list[str]:
    """What CRIU does not restore.  The container runs already: nothing here may fail the restore."""
    try:
        with private.netns_of(pid):
            failed = network.load(kept.network)
        # What is called so may be a FIFO of the guest's, or worse.
        arming = begun(lambda: pressure.rearm(cgmap.pids(spec.cgroups[0]), pidfd_getfd), "pressure")
        return [*failed, *arming.result(PATIENCE)]
    except TimeoutError:
        return ["pressure triggers: the container's files do not answer"]
    except OSError as error:
        return [str(error)]
