"""CRIU's log, and which criu is taken."""

import os
import pathlib

import pytest

from hostd.checkpoint import criu, log_text, run
from hostd.errors import Failure
from images.aptroot import loader_of
from images.criu import number

LOGS = {
    # a restore: harmless failures before and after the real one
    """Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted
(00.075) 1: Error (criu/util.c:1723): ip6tables-legacy-restore -V failed
(00.084) 1: Error (criu/mount-v2.c:420): mnt-v2: Can't bind remount 0x2000 at /x: Operation not permitted
(00.086) Error (criu/cr-restore.c:2331): Restoring FAILED.
(00.086) Error (criu/cgroup.c:2055): cg: cgroupd: recv req error: No such file or directory
""": "mnt-v2: Can't bind remount 0x2000 at /x: Operation not permitted",
    # a dump: what follows only repeats it
    """Error (criu/sk-unix.c:886): unix: Unix socket 0x4d5 without peer 0x4d4
Error (criu/cr-dump.c:1669): Dump files (pid: 77) failed with -1
Error (criu/cr-dump.c:2111): Dumping FAILED.
""": "unix: Unix socket 0x4d5 without peer 0x4d4",
    # a file that one task lacks fails all who share descriptors with it
    """    21: Error (criu/files-reg.c:2267): Can't open file etc/x: No such file or directory
    21: Error (criu/files.c:1221): Unable to open fd=3 id=0x3c
     1: Error (criu/files.c:1104): Can't sent fd 14 to 21
     1: Error (criu/files.c:1221): Unable to open fd=14 id=0x12
""": "Can't open file etc/x: No such file or directory",
    # a checkpoint of what an earlier hostd had restored: CRIU goes on
    """    1: Error (criu/mount-v2.c:420): mnt-v2: Can't bind remount 0x2000 at /x: Operation not permitted
     9: Error (criu/cr-restore.c:3077): Write -500 to /proc/self/oom_score_adj failed with -1: Permission denied
     9: Error (criu/cr-restore.c:3077): Write -900 to /proc/self/oom_score_adj failed: Permission denied
""": "mnt-v2: Can't bind remount 0x2000 at /x: Operation not permitted",
    "Error (criu/cr-dump.c:2111): Dumping FAILED.\n": "Dumping FAILED.",
    "all is well\n": "",
}


def test_a_criu_that_cannot_be_executed_is_the_reason(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell before it says so, and there is no log."""
    monkeypatch.setattr(run, "OUTPUT", f"{tmp_path}/output")
    (tmp_path / "output").write_text("sh: 1: exec: /gone/criu: not found\n")
    with pytest.raises(run.CriuFailed, match="/gone/criu: not found"):
        run._check("criu restore", 127, f"{tmp_path}/restore.log")
    (tmp_path / "output").unlink()
    with pytest.raises(run.CriuFailed, match="criu restore ended with status 127 and gave no reason"):
        run._check("criu restore", 127, f"{tmp_path}/restore.log")


@pytest.mark.parametrize(("log", "reason"), list(LOGS.items()))
def test_the_reason_is_the_last_error_that_tells_something(log: str, reason: str) -> None:
    assert log_text.reason(log) == reason


THREAD = """Error (criu/pie/restorer.c:2050): Unable to create a thread: -11
Error (criu/pie/restorer.c:2200): Restorer fail 33
"""


@pytest.mark.parametrize(
    ("log", "damaged"),
    [
        ("Error (criu/protobuf.c:73): Unexpected EOF on core-1.img\n" + THREAD, True),
        ("Error (criu/image.c:560): Magic doesn't match for mm-1.img\n", True),
        (THREAD, False),
        ("Error (criu/cr-restore.c:1480): 33 killed by signal 9: Killed\n", False),
        ("Error (criu/files-reg.c:2267): Can't open file etc/x: No such file or directory\n", False),
        ("", False),
    ],
)
def test_only_damage_that_shows_is_damage(log: str, damaged: bool) -> None:
    assert log_text.damaged(log) is damaged


def test_a_missing_log_has_no_text(tmp_path: pathlib.Path) -> None:
    assert log_text.read(f"{tmp_path}/none") == ""


def fake_criu(path: pathlib.Path, version: str) -> None:
    os.makedirs(path / "lib")
    for name, text in (("ld.so", f"#!/bin/sh\necho Version: {version}\n"), ("criu", ""), ("cgroupns.so", "")):
        (path / "lib" / name).write_text(text)
        (path / "lib" / name).chmod(0o755)


def test_the_private_criu_runs_through_its_own_loader(tmp_path: pathlib.Path) -> None:
    fake_criu(tmp_path, "4.2.1")
    found = criu.find(str(tmp_path))
    lib = f"{tmp_path}/lib"
    assert found.version == "4.2.1"
    assert found.command() == [f"{lib}/ld.so", "--library-path", lib, f"{lib}/criu"]
    assert found.command(preload=True)[3:] == ["--preload", f"{lib}/cgroupns.so", f"{lib}/criu"]


def test_an_old_criu_is_refused_in_one_line(tmp_path: pathlib.Path) -> None:
    fake_criu(tmp_path, "4.1.1")
    with pytest.raises(Failure, match=r"lib/criu is version 4\.1\.1, needed is 4\.2 or newer$") as caught:
        criu.find(str(tmp_path))
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("text", "parts"), [("4.2.1-1", (4, 2, 1)), ("1:4.10+dfsg", (4, 10)), ("x", ()), ("4", (4,))]
)
def test_versions_compare_as_numbers(text: str, parts: tuple[int, ...]) -> None:
    assert number(text) == parts


def test_the_loader_is_read_from_the_program(tmp_path: pathlib.Path) -> None:
    program = tmp_path / "criu"
    program.write_bytes(b"\x7fELF" + bytes(60) + b"/lib64/ld-linux-x86-64.so.2\0" + bytes(60))
    assert loader_of(str(program)) == "ld-linux-x86-64.so.2"
