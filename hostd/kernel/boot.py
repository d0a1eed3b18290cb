"""What the kernel calls by a UUID: this boot, and whatever wants one."""

from functools import cache


@cache
def boot_id() -> str:
    """This boot of the kernel, as `/proc/sys/kernel/random/boot_id`."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def random_uuid() -> str:
    """A new one, in its text form.  The module `uuid` does no more, and keeps 0.4 MiB of others for it."""
    with open("/proc/sys/kernel/random/uuid", encoding="ascii") as file:
        return file.read().strip()
