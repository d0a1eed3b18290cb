"""The devices a container may open: a BPF program on its cgroup in the unified tree, on v1 and v2 hosts alike."""

from functools import lru_cache

from hostd.cgroup.tree import CtCgroup
from hostd.errors import Exit, Failure
from hostd.kernel import bpf
from hostd.kernel.device_program import DEFAULT_DEVICES, HOOK, DeviceRule, device_program
from hostd.kernel.fd import Fd


@lru_cache(maxsize=32)
def _program(rules: tuple[DeviceRule, ...]) -> Fd:
    """One program for all containers that have the same *rules*: it holds no state."""
    return bpf.load(HOOK, device_program([*rules, *DEFAULT_DEVICES]))


def protect(cgroup: CtCgroup, rules: tuple[DeviceRule, ...]) -> None:
    """Attach the filter, which allows what *rules* say beside the devices of every container; or put it in the place
    of the one that is there.

    A host without a unified tree cannot, and a container must not start without it.
    """
    directory = cgroup.unified()
    if directory is None:
        raise Failure(
            Exit.BAD_KERNEL,
            "no cgroup2 tree is mounted: devices cannot be restricted",
            hint="mount -t cgroup2 none /sys/fs/cgroup/unified",
        )
    with directory:
        bpf.attach(HOOK, directory, _program(rules))
