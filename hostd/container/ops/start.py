"""start: from a configuration to a container that is READY.

`STEPS` is the operation.  The undos of the same steps, in reverse, take a container down: after a stop, after a
crash of hostd in the middle of anything, and when a step of the start itself fails.
"""

import asyncio
import os
import resource
import socket
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from ipaddress import ip_interface

from hostd.cgroup import limits
from hostd.cgroup.limits import Limits
from hostd.cgroup.tree import CtCgroup
from hostd.config.model import CtConfig
from hostd.container import device_filter, furnish, lease, mounts
from hostd.container.container import Container
from hostd.container.init_link import ChannelLost, InitLink, Message
from hostd.container.plan import spawn_plan
from hostd.container.record import Record
from hostd.container.report import Report
from hostd.container.steps import Step, run, undo
from hostd.container.storage import layout_named, storage_spec
from hostd.container.world import World
from hostd.errors import AlreadyRunning, Exit, Failure
from hostd.kernel.fd import Fd
from hostd.kernel.mount import Propagation, is_mounted, mount_setattr, move_mount, open_tree, umount
from hostd.kernel.namespace import namespace, userns
from hostd.kernel.process import Process

HELLO_TIMEOUT = 30.0  # seconds for PID 1 to reach main on a busy host
NOFILE = (1024, 524288)  # soft and hard limit of open files: what systemd gives a service
KILL_TIMEOUT = 20.0  # seconds for killed processes to leave


@dataclass
class Run:
    """A run of a container that is being built up or taken down; the steps share it."""

    ct: Container
    record: Record
    report: Report
    config: CtConfig | None = None  # None when only undoing
    setup: bool = False
    greeting: "asyncio.Future[tuple[Message, Message]] | None" = None
    hello_clock: int = 0  # CLOCK_MONOTONIC ns at which PID 1 reached main

    @property
    def world(self) -> World:
        return self.ct.world

    @property
    def cgroup(self) -> CtCgroup:
        return CtCgroup(self.world.tree, self.ct.ctid)

    @property
    def configuration(self) -> CtConfig:
        """The configuration; only steps that build ask for it."""
        assert self.config is not None
        return self.config

    def save(self) -> None:
        self.record.save(self.world.paths)


# --- the steps --------------------------------------------------------------------------------------------------


async def take_lease(run: Run) -> None:
    paths = run.world.paths
    if not run.configuration.privileged:
        taken = lease.taken(paths, but=run.ct.ctid)
        run.record.uid_base = lease.lease(paths.tag, taken, lease.subuid())
    run.save()


async def give_back(run: Run) -> None:
    run.record.remove(run.world.paths)


async def mount_storage(run: Run) -> None:
    """Open the storage and attach it at VE_ROOT: from then on the mount itself is what keeps it."""
    await asyncio.to_thread(_mount_storage, run)
    run.save()


def _mount_storage(run: Run) -> None:
    config, base = run.configuration, run.record.uid_base
    spec = storage_spec(run.world.paths, config)
    layout = layout_named(config.layout)
    os.makedirs(config.root, exist_ok=True)
    if is_mounted(config.root):
        raise Failure(Exit.FS_CANTMOUNT, f"{config.root} is a mount point already; umount it first")
    run.record.layout, run.record.private, run.record.root = config.layout, config.private, config.root
    run.record.template_tree = spec.template_tree or ""
    run.save()
    with userns(base) if base is not None else nullcontext() as ns, layout.open(spec, ns) as opened:
        run.record.storage = opened.record()
        mount_setattr(opened.root, propagation=Propagation.PRIVATE)
        move_mount(opened.root, config.root)


async def unmount_storage(run: Run) -> None:
    await asyncio.to_thread(_unmount_storage, run)


def _unmount_storage(run: Run) -> None:
    rec = run.record
    while rec.root and is_mounted(rec.root):
        umount(rec.root, detach=True)
    if rec.layout:
        layout = layout_named(rec.layout)
        layout.release(rec.private, rec.storage)


async def make_cgroup(run: Run) -> None:
    cgroup = run.cgroup
    cgroup.create(run.record.uid_base)
    device_filter.protect(cgroup)
    limits.apply(cgroup, limits_of(run.configuration))


def limits_of(config: CtConfig) -> Limits:
    """The part of the configuration that cgroups enforce."""
    return Limits(
        ram=config.ram,
        swap=config.swap,
        cpuunits=config.cpuunits,
        cpulimit=config.cpulimit,
        cpus=config.cpus,
        numproc=config.numproc,
    )


async def remove_cgroup(run: Run) -> None:
    await asyncio.to_thread(_remove_cgroup, run)


def _remove_cgroup(run: Run) -> None:
    cgroup = run.cgroup
    if cgroup.exists():
        cgroup.kill()
        cgroup.destroy()


async def spawn_init(run: Run) -> None:
    """Make PID 1 as the keeper's child.  It stops at the start barrier; should we die now, it leaves by itself."""
    ct, rec, world = run.ct, run.record, run.world
    rec.runtime = world.runtime
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    process = await asyncio.to_thread(_spawn, run, theirs)
    world.keeper.child(rec.child_name, process)
    plain_limits(process.pid)
    rec.pid, rec.identity = process.pid, process.identity
    ct.born(process)
    run.greeting = asyncio.gather(ct.expect("hello"), ct.expect("pair"))
    ct.connect(InitLink(ours, ct.on_event, ct.on_lost))
    run.save()


def plain_limits(pid: int) -> None:
    """Take back from PID 1 what it inherits of the keeper: many open files, protection from the OOM killer."""
    resource.prlimit(pid, resource.RLIMIT_NOFILE, NOFILE)
    with open(f"/proc/{pid}/oom_score_adj", "w", encoding="ascii") as file:
        file.write("0")


def _spawn(run: Run, channel: socket.socket) -> Process:
    """Mounts are copied here, in the daemon's mount namespace; the clone happens on the stage."""
    rec, cgroup = run.record, run.cgroup
    with ExitStack() as owned:
        submounts = mounts.below_root(rec.uid_base or 0, rec.runtime)
        for submount in submounts:
            owned.enter_context(submount.mount)
        joins = tuple(owned.enter_context(join) for join in cgroup.joins())
        into = cgroup.into()
        if into is not None:
            owned.enter_context(into)
        plan = spawn_plan(
            run.configuration,
            root=owned.enter_context(open_tree(rec.root)),
            submounts=submounts,
            channel=owned.enter_context(Fd(channel.detach(), "channel")),
            uid_base=rec.uid_base,
            join=joins,
            into=into,
        )
        return run.world.stage.spawn(plan).result()


async def kill_init(run: Run) -> None:
    """PID 1 and everything below it: gone when this returns."""
    ct, rec = run.ct, run.record
    if run.greeting is not None:
        run.greeting.cancel()
    await kill_processes(run)
    if ct.process is not None:
        async with asyncio.timeout(KILL_TIMEOUT):
            await ct.ended()
    for name in (rec.child_name, rec.link_name):
        run.world.keeper.forget(name)
    if ct.link is not None:
        ct.link.close()
        ct.link = None


async def kill_processes(run: Run) -> None:
    """SIGKILL to PID 1 and everything in its cgroups."""
    await asyncio.to_thread(_kill, run)


def _kill(run: Run) -> None:
    cgroup = run.cgroup
    if cgroup.exists():
        cgroup.kill()
    process = Process.reopen(run.record.pid, run.record.identity) if run.record.pid else None
    if process is not None:
        process.signal(9)
        process.close()


async def plug_network(run: Run) -> None:
    rec, config = run.record, run.configuration
    rec.host_if = run.world.paths.veth(run.ct.ctid)
    rec.addresses = [str(address) for address in config.addresses]
    run.save()
    with namespace(rec.pid, "net") as netns:
        await run.world.network.plug(run.ct.ctid, rec.host_if, config.addresses, netns)


async def unplug_network(run: Run) -> None:
    if run.record.host_if:
        addresses = [ip_interface(address).ip for address in run.record.addresses]
        await run.world.network.unplug(run.record.host_if, addresses)


async def greet(run: Run) -> None:
    """PID 1 has reached main and handed over the lasting channel; the keeper keeps our end of it over our death."""
    ct, rec = run.ct, run.record
    assert run.greeting is not None
    try:
        async with asyncio.timeout(HELLO_TIMEOUT):
            hello, pair = await run.greeting
    except TimeoutError:
        raise Failure(Exit.ENVCREATE, f"the container's init did not come up in {HELLO_TIMEOUT:g} s") from None
    except ChannelLost:
        end = await ct.ended()
        raise Failure(Exit.ENVCREATE, f"the container's init ended at once: {end.text or end.how}") from None
    run.hello_clock, rec.channel = hello.number("clock"), pair.number("ino")
    ct.keep_link()
    run.save()


async def furnish_inside(run: Run) -> None:
    assert run.ct.link is not None
    await furnish.write_all(run.ct.link, furnish.files(run.configuration))


async def release_barrier(run: Run) -> None:
    ct = run.ct
    assert ct.link is not None
    ready = ct.expect("ready")
    ct.link.tell("go", services="no" if run.setup else "yes")
    async with asyncio.timeout(HELLO_TIMEOUT):
        await ready


async def commit(run: Run) -> None:
    run.record.started = time.clock_gettime(time.CLOCK_BOOTTIME)
    run.record.intent = ""
    run.record.setup = run.setup
    run.save()


MOUNT_STEPS = (
    Step("lease", take_lease, give_back),
    Step("storage", mount_storage, unmount_storage),
)
RUN_STEPS = (
    Step("cgroup", make_cgroup, remove_cgroup),
    Step("spawn", spawn_init, kill_init),
    Step("network", plug_network, unplug_network),
    Step("greet", greet),
    Step("furnish", furnish_inside),
    Step("go", release_barrier),
    Step("commit", commit),
)
STEPS = MOUNT_STEPS + RUN_STEPS


# --- the operations ---------------------------------------------------------------------------------------------


async def start(ct: Container, config: CtConfig, report: Report, *, setup: bool = False) -> Run:
    """Start *ct*; when this returns it is READY: network up, services being started."""
    if ct.running:
        raise AlreadyRunning("Container is already running")
    if not os.path.isdir(config.private):
        raise Failure(Exit.FS_NOPRVT, f"Container private area {config.private} does not exist")
    await release(ct, report)  # left mounted by `vzctl mount`, or by a start that an earlier daemon did not finish
    ct.record = Record(ctid=ct.ctid, intent="start")
    this = Run(ct, ct.record, report, config, setup=setup)
    try:
        await run("start", STEPS, this)
    except BaseException:
        ct.buried()
        raise
    return this


async def again(ct: Container, config: CtConfig, report: Report) -> None:
    """Start a container that asked for a reboot: the storage stays mounted, the rest is made anew."""
    assert ct.record is not None
    old = Run(ct, ct.record, report)
    old.record.intent = "reboot"
    old.save()
    await undo(RUN_STEPS, old)
    kept = old.record
    ct.buried()
    ct.record = Record(
        ctid=ct.ctid,
        intent="start",
        uid_base=kept.uid_base,
        layout=kept.layout,
        private=kept.private,
        template_tree=kept.template_tree,
        root=kept.root,
        storage=kept.storage,
    )
    this = Run(ct, ct.record, report, config)
    try:
        this.save()
        await run("reboot", RUN_STEPS, this)
    except BaseException:
        await undo(MOUNT_STEPS, this)
        ct.buried()
        raise


async def release(ct: Container, report: Report) -> None:
    """Take down whatever the record of *ct* says may exist.  Idempotent; without a record there is nothing."""
    if ct.record is not None:
        await undo(STEPS, Run(ct, ct.record, report))
    ct.buried()
