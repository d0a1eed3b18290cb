"""precheck on a /proc made of files and links."""

import os
import pathlib

import pytest

from hostd.checkpoint import precheck

INIT, CHILD = 100, 101
ROOT = "30 1 0:40 / / rw - overlay vz rw"
DEV = "31 30 0:41 / /dev rw - tmpfs none rw"
EXTERNAL = ("/.vz", "/dev")


class Proc:
    """Processes as /proc shows them; namespaces are named by kind and a letter."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = str(path)
        self.add("self", kinds={kind: "host" for kind in (*precheck.SINGLE, "mnt")})
        self.add(INIT, parent=1, name="vzinit")
        self.add(CHILD, parent=INIT)

    def add(
        self, pid: int | str, *, parent: int = 0, name: str = "sh", kinds: dict[str, str] | None = None,
        depth: int = 2, mounts: str = f"{ROOT}\n{DEV}\n", fds: tuple[str, ...] = (), state: str = "S",
    ) -> None:  # fmt: skip
        here = f"{self.path}/{pid}"
        os.makedirs(f"{here}/ns")
        os.makedirs(f"{here}/fd")
        for kind in (*precheck.SINGLE, "mnt"):
            os.symlink(f"{kind}:[{(kinds or {}).get(kind, 'ct')}]", f"{here}/ns/{kind}")
        for number, target in enumerate(fds):
            os.symlink(target, f"{here}/fd/{number}")
        numbers = "\t".join(["7"] * depth)
        with open(f"{here}/status", "w", encoding="ascii") as file:
            file.write(f"Name:\t{name}\nState:\t{state} (x)\nPPid:\t{parent}\nNSpid:\t{numbers}\n")
        with open(f"{here}/mountinfo", "w", encoding="ascii") as file:
            file.write(mounts)

    def reasons(self, tasks: tuple[int, ...] = ()) -> list[str]:
        return precheck.reasons(INIT, EXTERNAL, tasks=tasks, proc=self.path)


@pytest.fixture
def proc(tmp_path: pathlib.Path) -> Proc:
    return Proc(tmp_path)


def test_an_ordinary_container_has_no_reasons(proc: Proc) -> None:
    assert proc.reasons() == []
    assert proc.reasons(tasks=(INIT, CHILD)) == []


def test_a_copy_of_what_the_host_brings_is_made_again(proc: Proc) -> None:
    ours, copy = "33 30 0:44 /a {} rw - fuse.ours none rw", "34 30 0:44 /b {} rw - fuse.ours none rw"
    proc.add(102, parent=CHILD, kinds={"mnt": "b"}, mounts=f"{ROOT}\n{ours.format('/.vz')}\n{copy.format('/mnt')}\n")
    assert proc.reasons() == []
    proc.add(103, parent=CHILD, kinds={"mnt": "c"}, mounts=f"{ROOT}\n{copy.format('/mnt')}\n")
    assert proc.reasons() == ["fuse.ours is mounted on /mnt, which cannot be saved"]


@pytest.mark.parametrize("kind", ["user", "uts", "ipc", "cgroup", "time"])
def test_a_nested_namespace_is_named(proc: Proc, kind: str) -> None:
    proc.add(102, parent=CHILD, name="podman", kinds={kind: "inner"})
    assert proc.reasons() == [f"process 102 (podman) is in a nested {kind} namespace"]


def test_a_nested_pid_namespace_is_seen_by_its_depth(proc: Proc) -> None:
    proc.add(102, parent=CHILD, kinds={"pid": "inner"}, depth=3)
    assert proc.reasons(tasks=(INIT, CHILD, 102)) == ["process 102 (sh) is in a nested pid namespace"]


def test_other_mount_and_network_namespaces_are_no_reason(proc: Proc) -> None:
    proc.add(102, parent=CHILD, kinds={"mnt": "inner", "net": "inner"})
    assert proc.reasons() == []


def test_a_session_from_outside_is_named(proc: Proc) -> None:
    proc.add(102, parent=4242, name="bash")
    assert proc.reasons() == ["process 102 (bash) was brought in from outside (a session that is still open)"]


@pytest.mark.parametrize(
    ("fstype", "point", "reason"),
    [
        ("overlay", "/mnt/o", "overlay is mounted on /mnt/o, which cannot be saved"),
        ("fuse.sshfs", "/mnt/a\\040b", "fuse.sshfs is mounted on /mnt/a b, which cannot be saved"),
        ("ramfs", "/run/x", "ramfs is mounted on /run/x, which cannot be saved"),
        ("tmpfs", "/dev", "something is mounted over /dev"),
    ],
)
def test_a_mount_that_cannot_be_saved_is_named(proc: Proc, fstype: str, point: str, reason: str) -> None:
    line = f"40 30 0:99 / {point} rw - {fstype} x rw"
    proc.add(102, parent=CHILD, kinds={"mnt": "inner"}, mounts=f"{ROOT}\n{DEV}\n{line}\n")
    assert proc.reasons() == [reason]


def test_binds_of_the_root_and_savable_file_systems_are_fine(proc: Proc) -> None:
    more = "40 30 0:40 /srv /mnt rw - overlay vz rw\n41 30 0:50 / /tmp rw - tmpfs t rw\n"
    proc.add(102, parent=CHILD, kinds={"mnt": "inner"}, mounts=f"{ROOT}\n{DEV}\n{more}")
    assert proc.reasons() == []


@pytest.mark.parametrize("link", list(precheck.UNSAVED_FDS))
def test_a_descriptor_that_cannot_be_saved_is_named(proc: Proc, link: str) -> None:
    proc.add(102, parent=CHILD, fds=("/dev/null", link))
    assert proc.reasons() == [f"process 102 (sh) has {precheck.UNSAVED_FDS[link]} open"]


def test_a_service_between_fork_and_execution_is_named(proc: Proc) -> None:
    proc.add(102, parent=INIT, name="(agetty)")
    os.symlink("/usr/lib/systemd/systemd-executor", f"{proc.path}/102/exe")
    assert proc.reasons() == [
        "process 102 ((agetty)) is a service that systemd is about to start: try again in some seconds"
    ]


def test_zombies_and_processes_that_end_meanwhile_do_not_count(proc: Proc) -> None:
    proc.add(102, parent=4242, state="Z")
    assert proc.reasons(tasks=(INIT, CHILD, 102, 103)) == []


def test_a_privileged_container_is_refused_with_one_reason(proc: Proc) -> None:
    os.unlink(f"{proc.path}/{INIT}/ns/user")
    os.symlink("user:[host]", f"{proc.path}/{INIT}/ns/user")
    assert proc.reasons() == ["checkpointing of privileged containers is not supported yet"]


def test_message_queues_are_a_reason(proc: Proc) -> None:
    os.makedirs(f"{proc.path}/{INIT}/root/dev/mqueue/q1")
    assert proc.reasons() == ["POSIX message queues exist"]
