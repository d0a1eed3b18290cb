"""chkpnt: a running container goes to disk.  Until CRIU has everything, nothing is given up."""

from contextlib import ExitStack, suppress

from hostd.cgroup import activity
from hostd.cgroup.tree import CtCgroup
from hostd.checkpoint import images_dir
from hostd.checkpoint.aside import aside
from hostd.checkpoint.dump import DumpSpec, checked, dump
from hostd.config import live
from hostd.container import counters, faults
from hostd.container.container import Container
from hostd.container.init_link import ChannelLost
from hostd.container.ops import sessions, stop
from hostd.container.report import Report
from hostd.container.steps import unstoppable
from hostd.container.storage import layers, let_go
from hostd.errors import VzError


async def chkpnt(ct: Container, path: str, report: Report) -> None:
    """Save *ct* as the checkpoint *path* and take it down.  When that fails the container runs on.

    Once CRIU is at work it is not interrupted: a container that it has taken down is only in its images.
    """
    record = ct.record
    assert record is not None
    images_dir.may_become(path)
    cgroup = CtCgroup(ct.world.tree, ct.ctid)
    with ExitStack() as owned:
        lower, upper = await aside(lambda: layers(record, owned))  # a sync of the guest's may have to end first
        spec = DumpSpec(
            pid=record.pid,
            images_dir=path,
            cache_dir=ct.world.criu_cache,
            uid_base=record.uid_base,
            uid_count=record.uid_count,
            channel=record.channel,
            runtime=record.runtime,
            cgroups=tuple(cgroup.paths()),
            lower=lower,
            upper=upper,
            disk=record.root,
            openvz=record.openvz,
            settings=record.live,
            counted=counters.totals(ct),
            configured=_configured(ct),
            spent=lambda: activity.spent(cgroup),
        )
        report("Setting up checkpoint...")
        await sessions.hang_up_logins(ct)
        await checked(spec)
        record.intent, record.dump = "chkpnt", path
        ct.awake.end()
        try:
            record.save(ct.world.paths)
            faults.point("chkpnt.intent")
            report("\tsuspend...")
            await sessions.link_of(ct).ask("quiesce")
            faults.point("chkpnt.quiet")
            report("\tdump...")
            await unstoppable(dump(spec))
        except BaseException:
            await _go_on(ct)
            raise
    faults.point("chkpnt.dumped")
    report("\tkill...")
    await ct.ended()
    report("Checkpointing completed successfully")
    await stop.leave(ct, report)
    await let_go(record)
    faults.point("chkpnt.end")


def _configured(ct: Container) -> live.Texts:
    """What it would get if it were started now; nothing where the files cannot be used."""
    try:
        return live.texts(ct.world.load_config(ct.ctid), ct.world.load_globals())
    except VzError:
        return {}


async def _go_on(ct: Container) -> None:
    """The dump failed; the container never noticed more than a pause."""
    record = ct.record
    if record is None or not ct.running:
        return
    record.intent = record.dump = ""
    if ct.link is not None:
        with suppress(ChannelLost):  # then nobody is there to wait
            ct.link.tell("resume")
    ct.awake.begin()
    record.try_save(ct.world.paths)
