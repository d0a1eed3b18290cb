"""The table of virtual machines: which kernel, which userland, which processor."""

import os
import re
from dataclasses import dataclass

from tests.harness.installation import CHECKOUT


@dataclass(frozen=True)
class Arch:
    """A processor as Debian, the kernel and QEMU call it; *options* is the machine that was measured fastest."""

    debian: str
    kernel: str
    qemu: str
    package: str
    options: tuple[str, ...]
    console: str

    @property
    def native(self) -> bool:
        """This machine can run its programs, so a chroot does what would be slow under emulation."""
        return self.kernel == os.uname().machine


AMD64 = Arch(
    "amd64", "x86_64", "qemu-system-x86_64", "qemu-system-x86",
    ("-machine", "q35", "-cpu", "qemu64"), "ttyS0",
)  # fmt: skip
ARM64 = Arch(
    "arm64", "aarch64", "qemu-system-aarch64", "qemu-system-arm",
    ("-machine", "virt,gic-version=3", "-cpu", "cortex-a57"), "ttyAMA0",
)  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """One line of `make test-vm VM=…`.

    *python*: the version that its Debian has.  *tests*: what runs unless something else is asked for.
    """

    name: str
    suite: str
    arch: Arch
    python: str
    kernel: str
    tests: tuple[str, ...] = ("tests/root", "tests/system")

    @property
    def recipe(self) -> tuple[str, ...]:
        """What its disks depend on."""
        return (self.suite, self.arch.debian, self.python, self.kernel)


# Another processor shows in the shims, in spawn, and in the numbers of system calls that filters name.
SHORT = (
    "tests/root/test_kernel_spawn.py", "tests/root/test_kernel_features.py", "tests/root/test_vzinit_budget.py",
    "tests/system/test_lifecycle.py", "tests/system/test_reboot.py", "tests/system/test_exec.py",
)  # fmt: skip

MACHINES = {
    machine.name: machine
    for machine in (
        Machine("debian-12", "bookworm", AMD64, "3.11", "linux-image-cloud-amd64"),
        Machine("debian-13", "trixie", AMD64, "3.13", "linux-image-cloud-amd64"),
        Machine("debian-13-arm64", "trixie", ARM64, "3.13", "linux-image-cloud-arm64", SHORT),
    )
}

# Beyond what the Makefile asks of any machine: an init, modules, and what a person at the shell misses.
EXTRA = ("systemd-sysv", "dbus", "udev", "kmod", "ca-certificates", "less", "strace", "usr-is-merged")


def packages() -> list[str]:
    """What a Debian needs to build and test vzhost: the Makefile's own words, and EXTRA."""
    with open(f"{CHECKOUT}/Makefile", encoding="utf-8") as file:
        lines = re.findall(r"^APT_(?:BUILD|IMAGE|HOST)\s*:=\s*(.*)$", file.read(), re.MULTILINE)
    return sorted({*" ".join(lines).split(), *EXTRA})
