"""The pure parts of the kernel layer: texts of /proc, capabilities, the flat list of a plan's mounts."""

import os
import resource
import subprocess
from pathlib import Path

import pytest

from hostd.kernel import caps, probes, process, swaps
from hostd.kernel.facade import path_bytes
from hostd.kernel.fd import Fd
from hostd.kernel.mount import MountAttr, is_mounted, mount_points, mounts_below
from hostd.kernel.process import Process
from hostd.kernel.spawn import ChildMount, SpawnPlan, mount_steps
from hostd.kernel.steps import STEPS

MOUNTINFO = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
40 27 8:1 /a\\040b /mnt/with\\040blank\\134and\\011tab rw shared:1 - ext4 /dev/sda1 rw
"""


def test_mount_points_are_unescaped() -> None:
    assert mount_points(MOUNTINFO) == ["/proc", "/mnt/with blank\\and\ttab"]


def test_root_and_proc_are_mounted() -> None:
    assert is_mounted("/")
    assert is_mounted("/proc")
    assert not is_mounted("/proc/self")


def test_a_path_that_leads_nowhere_is_no_mount(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for name in ("none", "loop", "l" * 300, "none/deeper"):
        assert not is_mounted(f"{tmp_path}/{name}")


def test_a_kernel_that_cannot_swap_limits_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swaps, "TABLE", str(tmp_path / "swaps"))
    monkeypatch.setattr(probes, "_cgroup_mounts", list)
    assert probes.cgroup_features("none")["swap_accounting"]
    Path(swaps.TABLE).touch()
    assert not probes.cgroup_features("none")["swap_accounting"]


def test_mounts_below_include_the_path_itself_and_come_last_first() -> None:
    found = mounts_below("/proc")
    assert found[-1] == "/proc"
    assert all(point == "/proc" or point.startswith("/proc/") for point in found)


def test_a_name_with_brackets_and_blanks_does_not_shift_the_start_time() -> None:
    fields = ["S", *(str(number) for number in range(4, 40))]
    assert process._start_time(f"12 (a) b (c) {' '.join(fields)}") == "22"


def test_this_process_is_alive_and_the_same() -> None:
    me = Process.open(os.getpid())
    assert me.alive()
    again = Process.reopen(me.pid, me.identity)
    assert again is not None
    assert again.identity == me.identity


def test_another_identity_is_another_process() -> None:
    assert Process.reopen(os.getpid(), "pidfs:1") is None
    assert Process.reopen(os.getpid(), "") is None


def test_identities_without_pidfs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "have_pidfs", lambda: False)
    me = Process.open(os.getpid())
    assert me.identity.startswith("start:")
    assert int(me.identity.removeprefix("start:")) > 0


def test_an_ended_process_is_not_opened() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(ProcessLookupError):
        Process.open(pid)  # a zombie has ended
    os.waitpid(pid, 0)
    assert Process.reopen(pid, "pidfs:1") is None


def test_a_limit_is_of_who_was_meant() -> None:
    with subprocess.Popen(["sleep", "1000"]) as child, Process.open(child.pid).pidfd as pidfd:
        process.prlimit(pidfd, resource.RLIMIT_NOFILE, (20, 30))
        assert resource.prlimit(child.pid, resource.RLIMIT_NOFILE) == (20, 30)
        child.kill()


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_limit_of_who_has_ended_is_told(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """The number may be another's by then.  Ended is enough: who has not been reaped has no use for limits."""
    asked = []

    def end(pid: int, *_: object) -> None:
        asked.append(pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    monkeypatch.setattr(resource, "prlimit", end)
    with subprocess.Popen(["sleep", "1000"]) as child, Process.open(child.pid).pidfd as pidfd:
        if when == "before":
            end(child.pid)
        with pytest.raises(ProcessLookupError):
            process.prlimit(pidfd, resource.RLIMIT_NOFILE, (20, 30))
    assert asked == [child.pid]


def test_capabilities_have_their_kernel_numbers() -> None:
    assert caps.numbers("chown", "CAP_SYS_ADMIN", "checkpoint_restore") == (0, 21, 40)
    with pytest.raises(ValueError, match="sys_foo"):
        caps.number("sys_foo")


def test_capability_masks() -> None:
    assert caps.bits("0000000000000005") == {0, 2}


def test_what_a_distribution_needs_is_not_dropped() -> None:
    needed = set(caps.numbers("sys_admin", "sys_boot", "net_admin", "setuid", "setfcap", "chown"))
    assert not needed & set(caps.PRIVILEGED_DROP)
    assert set(caps.DEFAULT_DROP) < set(caps.PRIVILEGED_DROP)


def test_mounts_become_flat_steps_in_order() -> None:
    proc = ChildMount("proc", "proc", read_only=("sys", "irq"), writable=("sys/net",))
    with Fd.open("/", os.O_PATH) as root, Fd.open("/", os.O_PATH) as dev:
        plan = SpawnPlan(root, (), {}, {}, None, "ct", submounts=((dev, "dev"),), mounts=(proc,))
        steps = mount_steps(plan)
    assert [step.target for step in steps] == ["dev", "proc", "proc/sys", "proc/irq", "proc/sys/net"]
    assert [step.optional for step in steps] == [False, False, True, True, True]
    assert steps[2].set == MountAttr.RDONLY
    assert steps[4].clear == MountAttr.RDONLY


def test_every_step_has_words() -> None:
    assert all(step.syscall and step.what for step in STEPS.values())
    assert {step.of for step in STEPS.values()} == {"", "join", "mounts", "fds", "drop"}


def test_a_path_with_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        path_bytes("a\0b")
