"""The devices a container may open: a BPF program on its cgroup in the unified tree, on v1 and v2 hosts alike."""

from functools import cache

from hostd.cgroup.tree import CtCgroup
from hostd.container.devices import Device
from hostd.errors import Exit, Failure
from hostd.kernel import bpf
from hostd.kernel.fd import Fd


@cache
def _program(devices: tuple[Device, ...]) -> Fd:
    """One program for all containers that have the same *devices*: it holds no state."""
    given = (bpf.DeviceRule("c", device.major, device.minor, "rwm", True) for device in devices)
    return bpf.load_device(bpf.device_program([*given, *bpf.DEFAULT_DEVICES]))


def protect(cgroup: CtCgroup, devices: tuple[Device, ...]) -> None:
    """Attach the filter, which allows *devices* beside those of every container.

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
        bpf.attach_device(directory, _program(devices))
