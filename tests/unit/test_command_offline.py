"""What a command line answers without a daemon, and which one needs it."""

import os
from pathlib import Path

import pytest

from hostd.command import offline, usage, vz
from hostd.config import skeleton
from hostd.config.paths import Paths


@pytest.fixture(autouse=True)
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    paths = Paths(str(tmp_path))
    skeleton.install(paths)
    with open(paths.ct_conf(101), "w", encoding="ascii") as file:
        file.write("ONBOOT=no\n")
    monkeypatch.setenv("VZ_PREFIX", str(tmp_path))
    monkeypatch.setattr(offline._Terminal, "uid", 0)
    return paths


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("vzctl --quiet --version", 0, ""),
        ("vzctl --help", 0, usage.vzctl()),
        ("vzctl frob 101", 20, "Bad command: frob\n"),
        ("vzctl start", 21, "CT ID missing\n"),
        ("vzctl start nobody", 21, "Bad CT ID nobody\n"),
        ("vzctl start 102", 14, "Container config file does not exist\n"),
        ("vzctl start 101 --frob", 20, "vzctl: unrecognized option '--frob'\n"),
        ("vzctl stop 101 now", 20, "Invalid extra arguments: now \n"),
        ("vzctl snapshot 101", 156, "snapshot is not supported yet\n"),
        ("vzlist -o frob", 1, "Unknown field: frob\n"),
        ("vz status", 3, "OpenVZ is stopped.\n"),
        ("vz reload", 2, vz.HELP),
        ("vz", 2, vz.HELP),
        ("vz --help", 0, vz.HELP),
    ],
)
def test_answered_without_a_daemon(line: str, code: int, text: str) -> None:
    prog, *argv = line.split()
    found = offline.answer(prog, argv)
    assert found is not None and (found[0], found[1] + found[2]) == (code, text)


@pytest.mark.parametrize(
    "line", ["vzctl start 101", "vzctl status 7", "vzctl set 101 --cpus x", "vzctl check", "vzlist -a", "vz start"]
)
def test_a_daemon_is_needed(line: str, installation: Paths) -> None:
    prog, *argv = line.split()
    assert offline.answer(prog, argv) is None
    assert not os.path.exists(installation.lock(101))
