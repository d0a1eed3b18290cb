"""Root of a container who tries to get out: what he runs, and what must not change on the host meanwhile."""

import errno
import glob
import os

from tests.harness import machine
from tests.harness.installation import Result, Vz

# By machine; 64-bit only, where the battery runs.
SYSCALLS = {
    "x86_64": {
        "acct": 163, "add_key": 248, "bpf": 321, "clock_settime": 227, "delete_module": 176, "fanotify_init": 300,
        "finit_module": 313, "init_module": 175, "io_uring_setup": 425, "iopl": 172, "kexec_file_load": 320,
        "kexec_load": 246, "keyctl": 250, "open_by_handle_at": 304, "perf_event_open": 298, "quotactl": 179,
        "request_key": 249, "settimeofday": 164, "swapoff": 168, "swapon": 167, "userfaultfd": 323,
    },
    "aarch64": {
        "acct": 89, "add_key": 217, "bpf": 280, "clock_settime": 112, "delete_module": 106, "fanotify_init": 262,
        "finit_module": 273, "init_module": 105, "io_uring_setup": 425, "kexec_file_load": 294, "kexec_load": 104,
        "keyctl": 219, "open_by_handle_at": 265, "perf_event_open": 241, "quotactl": 60, "request_key": 218,
        "settimeofday": 170, "swapoff": 225, "swapon": 224, "userfaultfd": 282,
    },
}  # fmt: skip

# What an escape would change, as far as files tell it.  Not the modules and file systems: whoever asks for one that the
# host has on its disk makes the kernel load it (docs/security.md).  Nor its swap, which other tests give it meanwhile.
HOST_FILES = (
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/domainname", "/proc/sys/kernel/panic", "/proc/sys/vm/overcommit_memory",
    "/sys/kernel/uevent_helper", "/sys/power/state",
    "/sys/fs/cgroup/*/release_agent", "/proc/sys/fs/binfmt_misc/*", "/proc/irq/*/smp_affinity",
)  # fmt: skip


class Guest:
    """Root inside of container *ctid*."""

    def __init__(self, vz: Vz, ctid: int) -> None:
        self.vz = vz
        self.ctid = ctid

    def sh(self, script: str) -> Result:
        """Run by /bin/sh; any exit code."""
        return self.vz.ctl("exec2", str(self.ctid), "-", input=script, check=None)

    def perl(self, code: str) -> str:
        """What *code* prints; it must compile and end."""
        done = self.vz.ctl("exec3", str(self.ctid), "/usr/bin/perl", "-e", code, check=None)
        assert done.code == 0, done
        return done.stdout

    def syscall(self, name: str, *arguments: str) -> str | None:
        """The errno of a system call as its name, "" for success; None when this machine has no such call.

        An argument is a Perl expression: text is passed as a pointer to it.
        """
        number = SYSCALLS[os.uname().machine].get(name)
        if number is None:
            return None
        call = ", ".join((str(number), *arguments))
        return named(self.perl(f'my $b = "\\0" x 512; my $r = syscall({call}); print $r < 0 ? $! + 0 : 0'))

    def socket(self, family: int, kind: int, protocol: int) -> str:
        """The errno of socket(2) as its name, "" for success."""
        return named(self.perl(f"print socket(S, {family}, {kind}, {protocol}) ? 0 : $! + 0"))


def named(number: str) -> str:
    return errno.errorcode[int(number)] if int(number) else ""


def host_state() -> dict[str, str]:
    """Files whose change would be an escape, and the cgroup hierarchies."""
    paths = [path for pattern in HOST_FILES for path in sorted(glob.glob(pattern))]
    state = {path: machine.read(path) for path in paths if os.path.isfile(path)}
    state["hierarchies"] = ", ".join(sorted(machine.read("/proc/self/cgroup").split(":")[1::2]))
    state["own root"] = ", ".join(sorted(os.listdir("/")))
    return state
