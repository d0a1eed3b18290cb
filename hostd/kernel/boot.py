"""Which boot of the kernel this is."""

from functools import cache


@cache
def boot_id() -> str:
    """This boot of the kernel, as `/proc/sys/kernel/random/boot_id`."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
