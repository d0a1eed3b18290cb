"""The helper process: it prepares a mount namespace, runs CRIU there, and leaves `result.json`.

It is started by the daemon but does not depend on it: own session, no death signal, the lock of the images
held by descriptor.  When it ends, a restored PID 1 becomes a child of the keeper, the nearest subreaper.
"""

import os
import signal
import sys
from dataclasses import asdict

from hostd.checkpoint import cgmap, dev_tree, images_dir, irmap, network, pressure, private, run, saved
from hostd.checkpoint.images_dir import Result
from hostd.checkpoint.job import DumpJob, RestoreJob, decode
from hostd.checkpoint.precheck import mounts
from hostd.kernel.fd import Fd
from hostd.kernel.process import Process

# Things that pass by themselves: a connection not yet accepted, a message with descriptors in a queue.
TRANSIENT = ("in-flight", "Control messages in queue")
ATTEMPTS = 3


def main() -> None:
    """`argv[1]` is the job."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, _ignore)  # a container between two states helps nobody
    job = decode(sys.argv[-1])
    directory = images_dir.part(job.path) if isinstance(job, DumpJob) else job.path
    try:
        result = dump(job) if isinstance(job, DumpJob) else restore(job)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        result = Result(job.action, False, str(error))
    images_dir.write_result(directory, result)
    if isinstance(job, DumpJob) and result.ok:
        images_dir.commit(job.path)


def _ignore(_number: int, _frame: object) -> None:
    """Not SIG_IGN: that would be inherited, and CRIU ends its own helpers with SIGTERM."""


# ---- dump


def dump(job: DumpJob) -> Result:
    """Everything that must be asked of the living container first, then CRIU."""
    directory = images_dir.part(job.path)
    external = _external(job.pid)
    saved.store(directory, _saved(job, external))
    warnings = _map_watches(job, directory)
    arguments = dump_arguments(job, external)
    kept = private.enter({"images": directory}, {}, job.cache)
    _dump(job, arguments)
    private.keep_cache(kept)
    return Result("dump", True, warnings=tuple(warnings))


def _external(pid: int) -> dict[str, str]:
    points = {point for point, _, _ in mounts(f"/proc/{pid}/mountinfo")}
    return {point: key for point, key in saved.EXTERNAL.items() if point in points}


def _saved(job: DumpJob, external: dict[str, str]) -> saved.Saved:
    raw = private.in_netns(job.pid, lambda: asdict(network.save()))
    assert isinstance(raw, dict)
    return saved.Saved(
        runtime=job.runtime,
        uid_base=job.uid_base,
        channel=job.channel,
        external=external,
        dev=dev_tree.save(job.pid, job.uid_base),
        cgroups=cgmap.save(job.cgroups, job.uid_base),
        network=network.Network(**raw),
        criu=job.version,
    )


def _map_watches(job: DumpJob, directory: str) -> list[str]:
    """Write CRIU's map of inotify watches on the overlay root."""
    root = f"/proc/{job.pid}/root"
    pids = cgmap.pids(next(iter(job.cgroups.values())))
    wanted = irmap.watches(pids, irmap.kernel_device(os.stat(root).st_dev)) if job.layers else {}
    if not wanted:
        return []
    from hostd.checkpoint.syscalls import open_by_handle  # ctypes: only for those who need it

    found = irmap.resolve(wanted, root, irmap.Layers(*job.layers), open_by_handle)
    with open(f"{directory}/irmap-cache", "wb") as file:
        file.write(irmap.cache_file(found.paths))
    return found.unresolved


def dump_arguments(job: DumpJob, external: dict[str, str]) -> list[str]:
    """What tells this container from another."""
    words = ["-t", str(job.pid)]
    for inode in [job.channel, *job.unix]:
        words += ["--external", f"unix[{inode}]"]
    for point, key in external.items():
        words += ["--external", f"mnt[{point}]:{key}"]
    return [*words, "--leave-running"] if job.leave_running else words


def _dump(job: DumpJob, arguments: list[str]) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            run.dump(job.criu, arguments, [job.lock])
            return
        except run.CriuFailed as failure:
            if attempt == ATTEMPTS or not any(text in str(failure) for text in TRANSIENT):
                raise
            for name in os.listdir(run.IMAGES):
                if name.endswith(".img"):
                    os.unlink(f"{run.IMAGES}/{name}")


# ---- restore

PLACES = {"/.vz": "runtime", "/dev": "dev", "/sys/fs/cgroup": "cgroup"}  # where `private` attaches what


def restore(job: RestoreJob) -> Result:
    """Attach what the images call external, bring the tasks back, then what CRIU has lost."""
    kept_state = saved.load(job.path)
    trees = {"root": Fd(job.root, "root tree"), "dev": dev_tree.replay(kept_state.dev, job.uid_base)}
    kept = private.enter({"images": job.path, "runtime": job.runtime}, trees, job.cache)
    if "/sys/fs/cgroup" in kept_state.external:
        private.mount_cgroup(job.join)
    _forget_last(run.IMAGES)
    warnings: list[str] = []

    def before_resume(_pid: int) -> None:
        warnings.extend(cgmap.load(job.cgroups, kept_state.cgroups, job.uid_base))

    pid = run.restore(
        job.criu,
        restore_arguments(job, kept_state),
        job.join,
        [job.channel, job.lock],
        before_resume if kept_state.cgroups else None,
    )
    private.keep_cache(kept)
    with Process.open(pid).pidfd as pidfd:
        identity = Process(pid, pidfd).identity
        warnings += _mend(job, kept_state, pid)
    return Result("restore", True, pid=pid, identity=identity, warnings=tuple(warnings))


def restore_arguments(job: RestoreJob, kept: saved.Saved) -> list[str]:
    """Where everything is now that the images name."""
    words = ["--root", f"{private.RUN}/root"]
    words += ["--inherit-fd", f"fd[{job.channel}]:socket:[{kept.channel}]"]
    for point, key in kept.external.items():
        words += ["--external", f"mnt[{key}]:{private.RUN}/{PLACES[point]}"]
    for inside, now in job.devices.items():
        words += ["--external", f"netdev[{inside}]:{now}"]
    return words


def _forget_last(images: str) -> None:
    for name in ("pid", "stats-restore"):  # CRIU does not overwrite the former; `state` goes by the latter
        try:
            os.unlink(f"{images}/{name}")
        except FileNotFoundError:
            pass


def _mend(job: RestoreJob, kept: saved.Saved, pid: int) -> list[str]:
    """What CRIU does not restore.  The container runs already: nothing here may fail the restore."""
    from hostd.checkpoint.syscalls import pidfd_getfd

    try:
        failed = private.in_netns(pid, lambda: network.load(kept.network))
        assert isinstance(failed, list)
        pids = cgmap.pids(next(iter(job.cgroups.values())))
        return [*failed, *pressure.rearm(pids, pidfd_getfd)]
    except OSError as error:
        return [str(error)]


