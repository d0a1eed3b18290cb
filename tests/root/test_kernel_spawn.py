"""spawn(): what the first program of a container finds."""

import ctypes
import os
import signal
import time
from collections.abc import Iterator

import pytest

from hostd.kernel import bpf, caps, seccomp
from hostd.kernel.clocks import Clocks
from hostd.kernel.device_program import HOOK, device_program
from hostd.kernel.fd import Fd
from hostd.kernel.features import probe
from hostd.kernel.mount import mount_points, new_filesystem
from hostd.kernel.spawn import CGROUP2, PROC, SYS
from hostd.kernel.stage import Stage
from tests.harness.needs import needs
from tests.root.kernel_box import BASE, Box, run, values

pytestmark = pytest.mark.root



@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def test_it_is_pid_1_and_root_of_its_own_world(stage: Stage) -> None:
    found = run(stage, "ids").strip()
    assert found == "pid 1 uid 0 gid 0 sid 1 groups 0 host box cwd / umask 22"


def test_only_the_planned_descriptors_are_open(stage: Stage) -> None:
    found = dict(line.split()[1:] for line in run(stage, "fds").splitlines())
    assert sorted(found) == ["0", "1", "2", "3"]
    assert {found[number] for number in "012"} == {"/dev/null"}
    assert found["3"].startswith("socket:")


def test_descriptors_swap_places_without_loss(stage: Stage) -> None:
    """Sources that sit on each other's targets."""
    with Fd.open("/dev/full", os.O_RDWR) as full, Fd.open("/dev/zero", os.O_RDWR) as zero:
        wanted = {full.fileno(): zero, zero.fileno(): full, 100: zero}
        names = {number: fd.what for number, fd in wanted.items()}
        with Box(stage, "wait", fds=wanted) as box:
            assert box.line() == "ready"
            directory = f"/proc/{box.process.pid}/fd"
            found = {int(name): os.readlink(f"{directory}/{name}") for name in os.listdir(directory)}
    assert {number: found[number] for number in wanted} == names
    assert sorted(found) == sorted({0, 1, 2, 3, *wanted})


def test_signals_and_limits_are_as_in_a_fresh_process(stage: Stage) -> None:
    status = values(run(stage, "cat", "/proc/self/status"))
    assert status["SigBlk"] == status["SigIgn"] == status["SigCgt"] == "0" * 16
    assert status["NoNewPrivs"] == "0"


def test_ids_are_mapped_to_the_range(stage: Stage) -> None:
    with Box(stage, "wait") as box:
        box.line()
        with open(f"/proc/{box.process.pid}/uid_map", encoding="ascii") as file:
            assert file.read().split() == ["0", str(BASE), "65536"]
        assert os.stat(f"/proc/{box.process.pid}").st_uid == BASE


def test_every_namespace_is_its_own(stage: Stage) -> None:
    with Box(stage, "wait") as box:
        box.line()
        for kind in ("user", "pid", "mnt", "uts", "ipc", "net", "cgroup"):
            theirs = os.readlink(f"/proc/{box.process.pid}/ns/{kind}")
            assert theirs != os.readlink(f"/proc/self/ns/{kind}"), kind


@needs("time-namespaces")
@pytest.mark.parametrize("base", [BASE, None])
def test_its_clocks_are_its_own(stage: Stage, base: int | None) -> None:
    """As they were set, in the process itself and in what the kernel says of it."""
    clocks = Clocks.now()
    with Box(stage, "wait", uid_base=base, clocks=clocks) as box:
        box.line()
        assert Clocks.of(box.process.pid) == clocks
        theirs = os.readlink(f"/proc/{box.process.pid}/ns/time")
        assert theirs == os.readlink(f"/proc/{box.process.pid}/ns/time_for_children")
    up = float(run(stage, "cat", "/proc/uptime", uid_base=base, clocks=Clocks(clocks.monotonic, 0)).split()[0])
    assert abs(up - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60
    up = float(run(stage, "cat", "/proc/uptime", uid_base=base, clocks=clocks).split()[0])
    assert 0 <= up < 60
    earlier = Clocks(-(10**15), -(10**15))
    assert float(run(stage, "cat", "/proc/uptime", uid_base=base, clocks=earlier).split()[0]) > 10**6


@needs("time-namespaces")
def test_clocks_that_the_kernel_refuses_are_named(stage: Stage) -> None:
    """It has no time before zero."""
    future = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 10**13
    with pytest.raises(OSError, match=r"write: .* \(set the clocks of the time namespace\)"):
        Box(stage, "wait", clocks=Clocks(0, future))


def test_nothing_of_the_host_is_mounted(stage: Stage) -> None:
    points = mount_points(run(stage, "cat", "/proc/self/mountinfo"))
    assert points[:3] == ["/", "/dev", "/proc"]
    assert {"/sys", "/sys/fs/cgroup", "/dev/mqueue", "/proc/sys", "/proc/sys/net"} <= set(points)
    assert not [point for point in points if point.split("/")[1] not in ("", "dev", "proc", "sys")]


def test_proc_sys_is_read_only_but_net(stage: Stage) -> None:
    mounts = run(stage, "cat", "/proc/mounts")
    options = {line.split()[1]: line.split()[3].split(",") for line in mounts.splitlines()}
    assert "ro" in options["/proc/sys"]
    assert "ro" in options["/sys"]
    assert "rw" in options["/proc/sys/net"]
    assert run(stage, "write", "/proc/sys/net/ipv4/ip_forward", "1").startswith("written")


BOOT_ID = "/proc/sys/kernel/random/boot_id"


def test_one_file_of_a_mount(stage: Stage) -> None:
    """It is read-only, and nothing else of its file system is there."""
    with new_filesystem("tmpfs", {"mode": "755"}) as mount:
        for name in ("wanted", "other"):
            with open(f"{mount.path}/{name}", "w", encoding="ascii") as file:
                file.write(name)
        files = ((mount, "wanted", BOOT_ID.lstrip("/")),)
        answer = run(stage, "cat", BOOT_ID, "write", BOOT_ID, "x", "cat", "/proc/self/mountinfo", files=files)
    assert answer.startswith("wanted")
    assert "written" not in answer
    places = [line.split()[3:5] for line in answer.splitlines() if " - tmpfs " in line]
    assert places == [["/", "/"], ["/", "/dev"], ["/wanted", BOOT_ID]]


def test_a_file_that_is_not_there(stage: Stage) -> None:
    with new_filesystem("tmpfs", {"mode": "755"}) as mount, pytest.raises(FileNotFoundError, match=BOOT_ID):
        run(stage, "ids", files=((mount, "wanted", BOOT_ID.lstrip("/")),))


def test_what_is_covered_is_there_again_below(stage: Stage) -> None:
    """As the container's own file system, and read-only."""
    cover = new_filesystem("tmpfs", {})
    os.mkdir(f"{cover.path}/kept")
    with cover:
        covers = ((cover, "sys/class", "kept"), (cover, "sys/nothing", "kept"))
        commands = ("list", "/sys/class", "list", "/sys/class/kept/net", "cat", "/proc/self/mountinfo")
        lines = run(stage, *commands, covers=covers).splitlines()
    assert lines[:2] == ["entry kept", "entry lo"]
    (line,) = [line for line in lines if " /sys/class/kept " in line]
    assert line.split()[3] == "/class" and line.split()[5].split(",")[0] == "ro" and " - sysfs " in line


def test_a_cover_without_a_place_for_what_it_covers(stage: Stage) -> None:
    with new_filesystem("tmpfs", {}) as cover, pytest.raises(OSError, match=r"openat2: .* \(find the mount point\)"):
        run(stage, "ids", covers=((cover, "sys/class", "kept"),))


def test_its_network_is_empty(stage: Stage) -> None:
    assert run(stage, "list", "/sys/class/net").split() == ["entry", "lo"]


def test_environment_is_the_plans(stage: Stage) -> None:
    answer = run(stage, "cat", "/proc/self/environ", env={"PATH": "/bin", "container": "vz"})
    assert answer == "PATH=/bin\0container=vz\0"


def test_capabilities_are_dropped_everywhere(stage: Stage) -> None:
    status = values(run(stage, "cat", "/proc/self/status", drop_caps=caps.DEFAULT_DROP))
    for field in ("CapPrm", "CapEff", "CapBnd"):
        assert caps.bits(status[field]) == set(caps.NUMBERS.values()) - set(caps.DEFAULT_DROP)
    assert caps.bits(status["CapInh"]) == caps.bits(status["CapAmb"]) == set()


def test_the_filter_is_active_without_no_new_privs(stage: Stage) -> None:
    program = seccomp.deny_filter()
    answer = run(stage, "socket", "40", "1", "0", "socket", "2", "1", "0", seccomp=program)
    assert answer == "error socket 97\nsocket 2\n"
    status = values(run(stage, "cat", "/proc/self/status", seccomp=program))
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "0")


def test_privileged_has_no_user_namespace_and_the_hosts_root(stage: Stage) -> None:
    dropped, program = caps.PRIVILEGED_DROP, seccomp.deny_filter()
    with Box(stage, "ids", "wait", uid_base=None, drop_caps=dropped, seccomp=program) as box:
        assert values(box.line())["uid"] == "0"
        box.line()
        assert os.readlink(f"/proc/{box.process.pid}/ns/user") == os.readlink("/proc/self/ns/user")
        with open(f"/proc/{box.process.pid}/status", encoding="ascii") as file:
            held = caps.bits(values(file.read())["CapEff"])
    assert not held & set(dropped)
    assert caps.number("sys_admin") in held


def test_wait_status_tells_reboot_from_halt(stage: Stage) -> None:
    for how, expected in (("reboot", signal.SIGHUP), ("halt", signal.SIGINT)):
        with Box(stage, "reboot", how) as box:
            assert box.answer() == ""
            status = box.wait()
            assert status is not None
            assert (status.si_code, status.si_status) == (os.CLD_KILLED, expected)


def test_a_memory_of_many_mounts_is_not_copied(stage: Stage) -> None:
    """The stage holds next to nothing, whatever the host has mounted."""
    points = stage.submit(_mounts_of_this_thread).result()
    assert sorted(points) == ["/", "/proc", "/sys"]


def _mounts_of_this_thread() -> list[str]:
    with open("/proc/thread-self/mountinfo", encoding="utf-8") as file:
        return mount_points(file.read())


def test_the_daemon_stays_dumpable_and_where_it_was(stage: Stage) -> None:
    before = os.readlink("/proc/self/ns/mnt"), os.getcwd(), dumpable()
    run(stage, "ids")
    assert (os.readlink("/proc/self/ns/mnt"), os.getcwd(), dumpable()) == before
    assert before[2] == 1


def dumpable() -> int:
    PR_GET_DUMPABLE = 3
    return int(ctypes.CDLL(None).prctl(PR_GET_DUMPABLE))


# ---- cgroups


CGROUP = f"vz-kernel-test-{os.getpid()}"  # tests run beside each other


@pytest.fixture
def unified_cgroup() -> Iterator[Fd]:
    point = "/sys/fs/cgroup" if probe().cgroup_mode == "v2" else "/sys/fs/cgroup/unified"
    path = f"{point}/{CGROUP}"
    os.mkdir(path)
    with Fd.open(path, os.O_RDONLY | os.O_DIRECTORY) as fd:
        yield fd
    os.rmdir(path)


@needs("unified", "into-cgroup")
def test_it_is_born_in_its_cgroup_and_sees_it_as_the_root(stage: Stage, unified_cgroup: Fd) -> None:
    with Box(stage, "cat", "/proc/self/cgroup", "wait", into=unified_cgroup) as box:
        lines = iter(box.line, "ready")
        assert "0::/" in list(lines)
        with open(f"/proc/{box.process.pid}/cgroup", encoding="ascii") as file:
            assert f"0::/{CGROUP}" in file.read().split()


@needs("cgroup1")
def test_it_joins_cgroups_of_v1(stage: Stage) -> None:
    path = f"/sys/fs/cgroup/pids/{CGROUP}"
    os.mkdir(path)
    try:
        with Fd.open(f"{path}/tasks", os.O_WRONLY) as tasks, Box(stage, "wait", join=(tasks,)) as box:
            box.line()
            with open(f"/proc/{box.process.pid}/cgroup", encoding="ascii") as file:
                assert any(line.endswith(f":pids:/{CGROUP}\n") for line in file)
    finally:
        os.rmdir(path)


@needs("unified", "device-filter")
def test_the_device_filter_holds_for_who_runs_already(stage: Stage, unified_cgroup: Fd) -> None:
    with Box(stage, "wait", "open", "/dev/null", into=unified_cgroup) as box:
        box.line()
        with bpf.load(HOOK, device_program(())) as nothing:
            bpf.attach(HOOK, unified_cgroup, nothing)
        box.stream.send(b".")
        assert box.answer() == "error /dev/null 1\n"


# ---- storage


def test_submounts_come_in_order_and_mounts_after_them(stage: Stage) -> None:
    with new_filesystem("tmpfs", {"mode": "755"}) as outer, new_filesystem("tmpfs", {"mode": "755"}) as inner:
        os.mkdir("inner", 0o755, dir_fd=outer.fileno())
        os.mkdir("deep", 0o755, dir_fd=inner.fileno())
        below = ((outer, "sys"), (inner, "sys/inner"))
        answer = run(stage, "list", "/sys", "list", "/sys/inner", below=below, mounts=(PROC,))
    assert answer == "entry inner\nentry deep\n"


def test_mounts_are_only_those_planned(stage: Stage) -> None:
    points = mount_points(run(stage, "cat", "/proc/self/mountinfo", mounts=(PROC, SYS, CGROUP2)))
    assert "/dev/mqueue" not in points
