"""The daemon: take over from the last one, then serve commands until told to leave."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

from hostd.cgroup import files as plain
from hostd.cgroup import guarantees
from hostd.cgroup.tree import CgroupTree, CtCgroup
from hostd.command.main import run as run_command
from hostd.config import files, skeleton
from hostd.config.cache import ConfCache
from hostd.config.paths import Paths
from hostd.container import views
from hostd.container.container import Container
from hostd.container.lease import Leases
from hostd.container.network import HostNetwork
from hostd.container.sysinfo import Sysinfo
from hostd.container.world import World
from hostd.daemon import beancounters, loads, recover
from hostd.daemon.host import Host
from hostd.daemon.keeper_link import KeeperLink
from hostd.daemon.monitor import Monitor
from hostd.daemon.obituary import Obituary
from hostd.daemon.registry import Registry
from hostd.daemon.server import CommandServer
from hostd.daemon.session import CommandSession
from hostd.errors import BadConfig, NoGlobalConfig, VzError
from hostd.image.runtime import Runtimes, default_root
from hostd.kernel.features import Features, probe
from hostd.kernel.heap import share_one_arena
from hostd.kernel.stage import Stage
from hostd.log import log, to_file


def main() -> None:
    """Entry of the process that the keeper starts; descriptor 3 is the link to the keeper."""
    share_one_arena()
    paths = _installed(Paths.from_environment())
    recover.lay_out(paths)
    to_file(paths.log_file, debug="VZ_DEBUG" in os.environ)
    sys.excepthook = _last_words
    asyncio.run(_serve(paths))


def _last_words(kind: type[BaseException], error: BaseException, trace: object) -> None:
    """To the log with its traceback; one line to stderr, which the keeper logs and shows to waiting commands."""
    log.critical("daemon ends: %s: %s", kind.__name__, error, exc_info=error)
    print(f"{kind.__name__}: {error}" if not isinstance(error, VzError) else error, file=sys.stderr)


def _installed(paths: Paths) -> Paths:
    """The paths with the directories of vz.conf applied; without a usable one every command will say so."""
    try:
        skeleton.install(paths)
        return ConfCache(paths).globals().paths
    except (NoGlobalConfig, BadConfig):
        return paths


def _stage() -> Stage | None:
    """An old kernel has none; questions are answered all the same, and a start says what is missing."""
    try:
        return Stage()
    except OSError as error:
        log.error("no container can be started: %s", error)
        return None


def _take_over_limits(tree: CgroupTree) -> None:
    """Of the containers that run: what an earlier hostd has set in another way, and what they are together."""
    try:
        for ctid in tree.ctids():
            CtCgroup(tree, ctid).take_over()
        guarantees.take_over(tree)
    except OSError as error:
        log.error("limits of an earlier hostd stay: %s: %s", error.filename, error.strerror)
    tree.share.look()


def _unspare(tree: CgroupTree) -> None:
    """A restore by an earlier hostd left to everybody inside what spares hostd from the OOM killer.  A guest may have
    made thousands of processes and cgroups: nobody waits for this.

    What is still our own program is about to become a PID 1, and shares our memory, and with that our score.
    """
    ours = plain.read("/proc/self/oom_score_adj")
    if not int(ours):
        return
    for ctid in tree.ctids():
        with suppress(OSError):  # it has ended, as any of its processes may
            for pid in CtCgroup(tree, ctid).procs():
                with suppress(OSError):
                    score = f"/proc/{pid}/oom_score_adj"
                    if plain.read(score) == ours and not os.path.samefile(f"/proc/{pid}/exe", "/proc/self/exe"):
                        plain.write(score, "0")


def _world(
    paths: Paths, keeper: KeeperLink, confs: ConfCache, note_openvz: Callable[[Container], Awaitable[None]]
) -> World:
    tree = CgroupTree.detect(paths.cgroup_root, host_units=lambda: confs.globals().host_cpuunits)
    features = probe()
    return World(
        paths=paths,
        tree=tree,
        stage=_stage(),
        keeper=keeper,
        features=features,
        network=HostNetwork(confs.globals),
        runtimes=Runtimes(os.environ.get("VZ_RUNTIME", default_root()), paths.runtime_dir),
        load_config=confs.ct,
        load_globals=confs.globals,
        held=keeper.held,
        leases=Leases(paths),
        views=views.Views(paths, keeper, tree, keeper.held, offered=_offered(features, keeper)),
        sysinfo=Sysinfo(tree, keeper, keeper.held, offered=features.sysinfo),
        note_openvz=note_openvz,
    )


async def _serve(paths: Paths) -> None:
    leaving = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leaving.set)
    keeper = await KeeperLink.connect()
    confs = ConfCache(paths)

    async def note_openvz(ct: Container) -> None:
        await beancounters.note(host, ct)

    world = _world(paths, keeper, confs, note_openvz)
    world.runtimes.leave(but=world.runtimes.newest)
    registry = Registry(world)
    monitor = Monitor(registry)
    host = Host(registry, paths, confs, monitor)
    recover.load(registry)
    keeper.subscribe(registry.child_ended, _become_keeper)
    late = await recover.recover(registry, keeper)
    _take_over_limits(world.tree)
    registry.background(asyncio.ensure_future(asyncio.to_thread(_unspare, world.tree)))
    if late or any(registry.running()):
        await world.sysinfo.begin()
    renewal = asyncio.ensure_future(world.views.take_over(registry.running()))
    registry.background(renewal)
    await asyncio.wait((renewal,), timeout=recover.PATIENCE)  # a checkpoint must not find half of the files renewed
    obituary = Obituary(registry)
    for ct, work in late:
        registry.background(asyncio.ensure_future(_catch_up(registry, obituary, ct, work)))

    async def handle(session: CommandSession, prog: str, argv: list[str]) -> int:
        return await run_command(host, session, prog, argv)

    _leave_number(paths)
    log.info("daemon %d serves", os.getpid())
    assert keeper.listener is not None
    server = CommandServer(keeper.listener, handle)
    server.start()
    keeper.serving()
    watching = [
        asyncio.ensure_future(work)
        for work in (
            loads.watch(registry.running),
            beancounters.watch(host, registry.events, registry.running),
            obituary.keep(),
        )
    ]
    await leaving.wait()
    for task in watching:
        task.cancel()
    await asyncio.wait(watching)
    registry.leave()
    monitor.leave()
    await server.drain()
    await server.close()
    await registry.settle()
    if not registry.known():
        await _clean_the_host(world)
    log.info("daemon %d leaves; containers go on", os.getpid())


async def _catch_up(registry: Registry, obituary: Obituary, ct: Container, taken_over: "asyncio.Future[None]") -> None:
    """What the others had at once, for one that was *taken_over* after them."""
    await taken_over
    if ct.running:
        obituary.begin(ct)
        await registry.world.views.take_over_late(ct)
        registry.events.stir()


def _leave_number(paths: Paths) -> None:
    """For people: a full /run is no reason to end."""
    try:
        files.replace(paths.daemon_pid, f"{os.getpid()}\n")
    except OSError as error:
        log.warning("%s: %s", paths.daemon_pid, error.strerror)


def _offered(features: Features, keeper: KeeperLink) -> bool:
    """There can be a server of /proc files: one that runs already shows as well that the keeper knows of helpers."""
    able = keeper.runs_helpers or views.CONNECTION in keeper.held
    if features.fuse and not able:
        log.error("containers see the host's figures: the keeper is of an older version; `hostd --upgrade` ends that")
    return features.fuse and able


async def _clean_the_host(world: World) -> None:
    """Without a container nothing of ours is needed any more; the next start makes it again."""
    world.sysinfo.leave()
    for leave in (
        asyncio.to_thread(world.leases.leave),  # another hostd may hold the machine's lock
        asyncio.to_thread(world.runtimes.leave),
        asyncio.to_thread(world.tree.remove),
        world.network.leave(),
        world.views.leave(),
    ):
        try:
            await leave
        except (OSError, VzError) as error:
            log.warning("something stays behind: %s", error)


def _become_keeper() -> None:
    """The keeper was killed: nothing can hear how our containers end any more, so begin again from the start.

    The new keeper starts a new daemon, which takes over what runs, as after the death of both.  VZ_HOSTD is the
    keeper's own command line.
    """
    log.error("the keeper is gone; starting anew")
    again = os.environ["VZ_HOSTD"].split("\x1f")
    os.execv(again[0], again)
