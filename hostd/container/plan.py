"""From configuration to what `spawn` does: pure data, nothing touched but the mounts and descriptors it is given."""

from collections.abc import Mapping, Sequence
from functools import cache

from hostd.config.model import CtConfig
from hostd.container import furnish
from hostd.container.mounts import Submount
from hostd.image import runtime
from hostd.kernel import caps
from hostd.kernel.clocks import Clocks
from hostd.kernel.fd import Fd
from hostd.kernel.seccomp import deny_filter
from hostd.kernel.spawn import DEFAULT_MOUNTS, NESTING_MOUNTS, PROC, ChildMount, SpawnPlan
from hostd.proc.points import in_kernels

LAST_WORDS, CHANNEL = 2, 3  # what PID 1 has to say in the end; its channel to the host
ENVIRONMENT = {"container": "vz"}  # of PID 1 alone: systemd-detect-virt, Ansible and others look there


@cache
def _filter() -> bytes:
    """The same for every container; generating it takes longer than using it."""
    return deny_filter()


_OPENVZ = {"VE_ADMIN": ("sys_admin", "net_admin")}  # one of its own; these are what it was for


def dropped(capabilities: Mapping[str, bool], *, privileged: bool) -> tuple[int, ...]:
    """What PID 1 and all below it lose: what CAPABILITY takes away, and what it has to give back to a privileged
    container.  Some nobody gets: with the system call filter they would be of no use.
    """
    off = [name for key, on in capabilities.items() if not on for name in _OPENVZ.get(key, (key,))]
    given = caps.numbers(*(key for key, on in capabilities.items() if on and key not in _OPENVZ))
    default = caps.PRIVILEGED_DROP if privileged else caps.DEFAULT_DROP
    lost = [number for number in default if number in caps.DEFAULT_DROP or number not in given]
    return tuple(dict.fromkeys((*lost, *caps.numbers(*off))))


def spawn_plan(
    config: CtConfig,
    *,
    root: Fd,
    submounts: Sequence[Submount],
    channel: Fd,
    words: Fd,
    ids: range | None,
    join: tuple[Fd, ...],
    into: Fd | None,
    clocks: Clocks | None = None,
) -> SpawnPlan:
    """The plan that makes PID 1 of a container from its configuration and the descriptors made for it."""
    mounts: tuple[ChildMount, ...] = NESTING_MOUNTS if config.nesting else DEFAULT_MOUNTS
    if any(mount.path == PROC.target for mount in submounts):  # what is there already has a place for the kernel's
        mounts = tuple(one._replace(target=in_kernels(f"/{one.target}")[1:]) if one is PROC else one for one in mounts)
    return SpawnPlan(
        root=root,
        submounts=tuple((mount.mount, mount.path) for mount in submounts if mount.file is None and not mount.kept),
        files=tuple((mount.mount, mount.file, mount.path) for mount in submounts if mount.file is not None),
        covers=tuple((mount.mount, mount.path, mount.kept) for mount in submounts if mount.kept),
        argv=runtime.argv(),
        env=ENVIRONMENT,
        fds={LAST_WORDS: words, CHANNEL: channel},
        uid_base=None if ids is None else ids.start,
        id_count=len(ids or ()),
        hostname=furnish.hostname(config),
        join=join,
        into=into,
        clocks=clocks,
        seccomp=_filter(),
        drop_caps=dropped(config.capabilities, privileged=ids is None),
        mounts=mounts,
        parent=True,
    )
