"""The paths and numbers that commands and keeper spell themselves are those of the configuration."""

import os
import posix

import pytest

from hostd.cli import client, place, stub
from hostd.command import usage
from hostd.config.paths import Paths
from hostd.errors import Exit
from hostd.keeper.detach import cgroup_root


@pytest.mark.parametrize("prefix", ["", "/var/tmp/somewhere", "/var/tmp/vz-ä"])
def test_paths(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(posix.environ, b"VZ_PREFIX", os.fsencode(prefix))
    paths = Paths(prefix)
    assert f"{place.run_dir()}/{place.SOCKET}" == paths.socket
    assert f"{place.run_dir()}/{place.PID_FILE}" == paths.hostd_pid
    assert place.log_file() == paths.hostd_log
    assert cgroup_root(paths.prefix) == paths.cgroup_root


def test_codes_and_version() -> None:
    codes = (client.SYSTEM, client.NO_ACCESS, client.SYNTAX)
    assert codes == (Exit.SYSTEM, Exit.NO_ACCESS, Exit.INVALID_PARAMETER_SYNTAX)
    assert usage.version_line() == f"vzctl version {client.VERSION}\n"


def test_a_path_too_long_for_a_socket_address(tmp_path: object) -> None:
    directory = f"{tmp_path}/{'d' * 120}"
    os.mkdir(directory)
    path, fd = place.reachable(f"{directory}/x")
    try:
        assert len(path) < 108
        with open(path, "w", encoding="ascii"):
            assert os.listdir(directory) == ["x"]
    finally:
        os.close(fd)
    assert place.reachable("/run/vz/hostd.sock") == ("/run/vz/hostd.sock", -1)


def test_last_line(tmp_path: object) -> None:
    path = f"{tmp_path}/log"
    assert place.last_line(path) == ""
    with open(path, "w", encoding="ascii") as file:
        file.write("x" * 20000 + "\nreason\n\nnot this\n  \n")
    assert place.last_line(path) == "not this"
    assert place.last_line(path, without="not") == "reason"


def test_the_stub_is_a_program() -> None:
    shebang, _, code = stub.hostd("/lib/it's", ["/bin/d", "a b"]).partition("\n")
    assert shebang == "#!/usr/bin/python3 -ISE"
    assert compile(code, "stub", "exec")
