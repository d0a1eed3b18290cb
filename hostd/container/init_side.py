"""The steps that make PID 1 and bring it to READY; and how it is ended."""

import asyncio
import resource
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress

from hostd.container import devices, faults, furnish, inner_limits, last_words, mounts, overtaken, scripts
from hostd.container.init_link import ChannelLost, InitLink
from hostd.container.mounts import Submount
from hostd.container.ops import first_boot
from hostd.container.plan import spawn_plan
from hostd.container.run import Run
from hostd.container.storage import container_root
from hostd.container.views import PROC
from hostd.errors import Exit, Failure
from hostd.kernel.fd import Fd
from hostd.kernel.fuse import abort_connections
from hostd.kernel.process import Process
from hostd.kernel.spawn import SpawnPlan
from hostd.log import detail, log

HELLO_TIMEOUT = 30.0  # seconds for PID 1 to reach main on a busy host
KILL_TIMEOUT = 20.0  # seconds for killed processes to leave


async def make_mounts(run: Run) -> None:
    """What will be mounted below the root: made beforehand, owned by nobody but this run."""
    rec, views = run.record, run.world.views
    rec.runtime = run.world.runtimes.newest
    rec.views = bool(await views.ready())
    await run.world.sysinfo.begin()
    own = await views.own(rec.ctid, openvz=run.configuration.openvz) if rec.views else {}
    rec.openvz = PROC in own
    run.submounts = await asyncio.to_thread(_make_mounts, run, own)


def _make_mounts(run: Run, own: Mapping[str, Fd]) -> tuple[Submount, ...]:
    config, runtime = run.configuration, run.world.runtimes.at(run.record.runtime)
    base, given, views = run.record.uid_base or 0, devices.of(config), run.world.views.trees(own)
    return mounts.below_root(
        base, runtime, given, views, nesting=config.nesting, terminals=config.numpty, ram=config.ram
    )


async def drop_mounts(run: Run) -> None:
    for submount in run.submounts:
        submount.mount.close()
    run.submounts = ()


async def spawn_init(run: Run) -> None:
    """Make PID 1 as the keeper's child.  It stops at the start barrier; should we die now, it leaves by itself."""
    ct, rec, world = run.ct, run.record, run.world
    if rec.openvz:
        await world.note_openvz(ct)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    ct.words = last_words.create(rec.uid_base or 0)
    try:
        process = await _spawned(run, Fd(theirs.detach(), "channel"), ct.words)
    except BaseException:
        ours.close()
        raise
    faults.point("spawn.cloned")
    world.keeper.child(rec.child_name, process)
    faults.point("spawn.told")
    await drop_mounts(run)
    with suppress(ProcessLookupError, FileNotFoundError):  # it has ended already; who greets it hears why
        plain_limits(process.pid)
    rec.pid, rec.identity = process.pid, process.identity
    ct.born(process)
    await _limit(run)
    run.greeting = asyncio.gather(ct.expect("hello"), ct.expect("pair"))
    ct.connect(InitLink(ours, ct.on_event, ct.on_lost))
    run.save()


async def _limit(run: Run) -> None:
    """Before PID 1 has children.  What cannot be is told, and no reason not to start."""
    for row in inner_limits.of_new(run.configuration):
        try:
            await inner_limits.apply(run.ct, run.configuration, (row,))
        except Failure as failure:
            if run.ct.running:  # else it has ended already; who greets it hears why
                run.report(f"Warning: {failure.message}")


def plain_limits(pid: int) -> None:
    """Take back from PID 1 what it inherits of the keeper: many open files, protection from the OOM killer."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    soft, most = inner_limits.NOFILE
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(soft, hard), min(most, hard)))
    with open(f"/proc/{pid}/oom_score_adj", "w", encoding="ascii") as file:
        file.write("0")


async def _spawned(run: Run, channel: Fd, words: Fd) -> Process:
    """PID 1, with *channel* and *words* at its places; the channel is closed here."""
    with ExitStack() as owned:
        owned.enter_context(channel)
        extra = await _made_by_the_host(run)
        for submount in extra:
            owned.enter_context(submount.mount)
        root = owned.enter_context(await container_root(run.record))
        return await run.world.spawn(_plan(run, root, channel, words, extra, owned))


def _plan(run: Run, root: Fd, channel: Fd, words: Fd, extra: tuple[Submount, ...], owned: ExitStack) -> SpawnPlan:
    """With the descriptors that the child needs, of which *owned* gets those that are opened here."""
    into = run.cgroup.into()
    return spawn_plan(
        run.configuration,
        root=root,
        submounts=(*extra, *run.submounts),
        channel=channel,
        words=words,
        ids=run.record.ids,
        join=tuple(owned.enter_context(join) for join in run.cgroup.joins()),
        into=owned.enter_context(into) if into is not None else None,
        clocks=run.own_clocks,
    )


async def _made_by_the_host(run: Run) -> tuple[Submount, ...]:
    """What the administrator mounted below VE_ROOT: by scripts, or by hand before the container rebooted."""
    if run.record.intent != "reboot" and not scripts.mounting(run.world.paths, run.ct.ctid):
        return ()
    return await asyncio.to_thread(mounts.made_below, run.record.root, run.record.ids)


async def kill_init(run: Run) -> None:
    """PID 1 and everything below it: gone when this returns."""
    ct, rec = run.ct, run.record
    if run.greeting is not None:
        run.greeting.cancel()
    if ct.process is None or ct.running:  # with a dead PID 1 died everything below it
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
    """SIGKILL to PID 1 and everything in its cgroups, and nothing left that could keep them from ending."""
    await asyncio.to_thread(_kill, run)


def _kill(run: Run) -> None:
    cgroup = run.cgroup
    if cgroup.exists():
        cgroup.kill()
    process = Process.reopen(run.record.pid, run.record.identity) if run.record.pid else None
    if process is not None:
        with suppress(ProcessLookupError), closing(process):  # dead of the cgroup's kill, and reaped, meanwhile
            process.signal(9)
    if run.record.ids is not None:
        try:
            abort_connections(run.record.ids)
        except OSError as error:
            log.warning("its FUSE servers may keep it: %s", error)


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
        why = ": ".join([end.text or end.how, *last_words.lines(ct.words, 1)])
        raise Failure(Exit.ENVCREATE, f"the container's init ended at once: {why}") from None
    zero = run.own_clocks.monotonic if run.own_clocks is not None else 0
    clock, rec.channel = zero + hello.number("clock"), pair.number("ino")
    detail(f"main at {clock}: {(clock - run.clocks.monotonic) / 1e6:.1f} ms")
    ct.keep_link()
    faults.point("greet.held")


async def greet_and_furnish(run: Run) -> None:
    await greet(run)
    assert run.ct.link is not None
    await furnish.write_all(run.ct.link, furnish.files(run.configuration))


async def overtake_checkpoint(run: Run) -> None:
    """Before anything of the container runs; a start that fails before has left the checkpoint as it was."""
    if not run.setup:
        await overtaken.forget(run.world.paths, run.ct.ctid)


async def release_barrier(run: Run) -> None:
    ct = run.ct
    assert ct.link is not None
    script = None if run.setup else scripts.inner(run.world.paths, ct.ctid, "start")
    plan = None if run.setup else first_boot.load(run.world.paths, ct.ctid)
    services = "no" if run.setup else "later" if script or plan else "yes"
    with _no_init():
        await ct.link.ask("go", timeout=HELLO_TIMEOUT, services=services, init=run.configuration.init)
    ct.first_boot = None
    if plan:
        await first_boot.early(ct, plan, run.report)
    if script:
        await scripts.run_inside(ct, script, run.report)
    if script or plan:
        with _no_init():
            await ct.link.ask("services")


@contextmanager
def _no_init() -> Iterator[None]:
    """With INIT=handoff the image has to have an init that can be executed."""
    try:
        yield
    except OSError as error:
        raise Failure(Exit.FS_BAD_TMPL, f"Unable to start the container's init: {error.strerror}") from error


async def commit(run: Run) -> None:
    run.record.began(run.clocks.boottime)
    run.record.intent = ""
    run.record.setup = run.setup
    run.save()
    if not run.setup:  # what is up for a script alone has nothing to show
        run.ct.awake.begin()
        first_boot.go_on(run.ct)
