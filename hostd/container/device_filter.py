"""The devices a container may open: a BPF program on its cgroup in the unified tree, on v1 and v2 hosts alike."""

from hostd.cgroup.tree import CtCgroup
from hostd.errors import Exit, Failure
from hostd.kernel import bpf
from hostd.kernel.bpf import DeviceRule

DEFAULT = (
    DeviceRule("c", 1, 3, "rwm", True),  # null
    DeviceRule("c", 1, 5, "rwm", True),  # zero
    DeviceRule("c", 1, 7, "rwm", True),  # full
    DeviceRule("c", 1, 8, "rwm", True),  # random
    DeviceRule("c", 1, 9, "rwm", True),  # urandom
    DeviceRule("c", 5, 0, "rwm", True),  # tty
    DeviceRule("c", 5, 2, "rwm", True),  # ptmx
    DeviceRule("c", 136, None, "rwm", True),  # pts
    DeviceRule("a", None, None, "m", True),  # mknod harms nobody: opening is what is refused
)


def protect(cgroup: CtCgroup) -> None:
    """Attach the filter.  A host without a unified tree cannot, and a container must not start without it."""
    directory = cgroup.unified()
    if directory is None:
        raise Failure(
            Exit.BAD_KERNEL,
            "no cgroup2 tree is mounted: devices cannot be restricted",
            hint="mount -t cgroup2 none /sys/fs/cgroup/unified",
        )
    with directory, bpf.load_device(bpf.device_program(DEFAULT)) as program:
        bpf.attach_device(directory, program)
