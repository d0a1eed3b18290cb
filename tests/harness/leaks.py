"""What an installation left behind, found by its prefix and tag only, so that tests can run side by side."""

import os
import signal
import subprocess
import time
from collections.abc import Callable

from tests.harness import machine
from tests.harness.patience import patient

PATIENCE = patient(120.0)  # seconds: the disk of a busy host may need most of them for an unmount


def find(prefix: str, cgroup_root: str, tag: str) -> list[str]:
    """One line for each thing that is still there; empty when the installation left nothing."""
    left = [f"process {pid}: {' '.join(machine.cmdline(pid))[:200]}" for pid in machine.processes_of(prefix)]
    left += [f"mount {point}" for point in machine.mounts_below(prefix)]
    left += [f"loop device {name}" for name in machine.loops_below(prefix)]
    left += [f"network device {name}" for name in machine.links_tagged(tag)]
    for cgroup in machine.cgroups_named(cgroup_root):
        if machine.cgroup_pids(cgroup):
            left.append(f"cgroup {cgroup} with processes {machine.cgroup_pids(cgroup)}")
        elif os.path.basename(cgroup) not in (cgroup_root, ".hostd"):  # empty, and the next hostd takes them
            left.append(f"cgroup {cgroup}")
    return left


def find_lasting(prefix: str, cgroup_root: str, tag: str) -> list[str]:
    """What is still there after PATIENCE: trees are deleted in the background."""
    return _lasting(lambda: find(prefix, cgroup_root, tag))


def _lasting(look: Callable[[], list[str]]) -> list[str]:
    end = time.monotonic() + PATIENCE
    while (left := look()) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def of_container(installation_prefix: str, cgroup_root: str, ctid: int) -> list[str]:
    """What a container that is down still holds, while its installation lives on.

    Its loop device goes with the last one who has it open, which may be a start of another installation: it asks every
    device of the machine what is behind it.
    """
    number = str(ctid)
    left = [f"mount {m}" for m in machine.mounts_below(installation_prefix) if number in m.split("/")]
    left += [f"loop {name}" for name in _lasting(lambda: _disks(installation_prefix, ctid))]
    left += [f"cgroup {c}" for c in machine.cgroups_named(cgroup_root) if number in c.split("/")]
    return left


def _disks(prefix: str, ctid: int) -> list[str]:
    return machine.loops_below(f"{prefix}/var/lib/vz/private/{ctid}")


def wait_for_disk(prefix: str, ctid: int) -> None:
    """Until nobody has the disk of a container that is down: the last unmount may be a kernel worker's, and a busy disk
    makes it wait.
    """
    machine.until("the disk is let go", lambda: not _disks(prefix, ctid))


def sweep(prefix: str, cgroup_root: str) -> None:
    """Remove everything `find` can see, so that one failure does not become the next test's."""
    for cgroup in machine.cgroups_named(cgroup_root):
        for pid in machine.cgroup_pids(cgroup):
            machine.kill_and_wait(pid, signal.SIGKILL)
    for pid in machine.processes_of(prefix):
        machine.kill_and_wait(pid, signal.SIGKILL)
    for point in reversed(machine.mounts_below(prefix)):
        subprocess.run(["umount", "-l", "--", point], check=False)
    for name in machine.loops_below(prefix):
        subprocess.run(["losetup", "-d", f"/dev/{name}"], check=False)
    for cgroup in machine.cgroups_named(cgroup_root):
        try:
            os.rmdir(cgroup)
        except OSError as error:
            print(f"sweep: {cgroup}: {error.strerror}")
