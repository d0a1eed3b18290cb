"""The runtimes of PID 1 in memory: mounted when needed, once, and found again."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostd.container import mounts
from hostd.errors import VzError
from hostd.image.runtime import Runtimes
from hostd.kernel.mount import mounts_below

pytestmark = pytest.mark.root


@pytest.fixture
def built(tmp_path: Path) -> str:
    """Two runtimes, of which `two` is the newest."""
    for name in ("one", "two"):
        (tmp_path / "built" / name / "bin").mkdir(parents=True)
        program = tmp_path / "built" / name / "bin" / "vzinit"
        program.write_text(name)
        program.chmod(0o755)
    (tmp_path / "built" / "current").symlink_to("two")
    return str(tmp_path / "built")


@pytest.fixture
def mounted(tmp_path: Path, built: str) -> Iterator[str]:
    yield str(tmp_path / "mounted")
    Runtimes(built, str(tmp_path / "mounted")).leave()
    assert mounts_below(str(tmp_path)) == []


def test_the_newest_and_an_older_one(built: str, mounted: str) -> None:
    runtimes = Runtimes(built, mounted)
    assert runtimes.newest == "two"
    for name in ("two", "one"):
        program = f"{runtimes.at(name)}/bin/vzinit"
        assert Path(program).read_text() == name and os.access(program, os.X_OK)
    assert os.statvfs(runtimes.at("one")).f_blocks == 0, "df leaves it out"


def test_the_next_daemon_takes_what_is_there(built: str, mounted: str) -> None:
    device = os.stat(Runtimes(built, mounted).at("two")).st_dev
    after = Runtimes(built, mounted)
    after.leave(but=after.newest)
    assert os.stat(after.at("two")).st_dev == device


def test_once_for_starts_at_the_same_time(built: str, mounted: str) -> None:
    runtimes = Runtimes(built, mounted)
    starts = [threading.Thread(target=runtimes.at, args=("two",)) for _ in range(8)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert mounts_below(mounted) == [f"{mounted}/two"]


def test_a_container_keeps_what_the_host_leaves(built: str, mounted: str) -> None:
    """Unmounted on the host and built anew since: its own mount has the old files, and they cannot be changed."""
    runtimes = Runtimes(built, mounted)
    with mounts.runtime(runtimes.at("one")) as inside:
        runtimes.leave(but="two")
        (Path(built) / "one" / "bin" / "vzinit").write_text("changed")
        assert Path(f"{inside.path}/bin/vzinit").read_text() == "one"
        with pytest.raises(OSError, match="Read-only"):
            Path(f"{inside.path}/new").touch()


def test_one_that_is_gone(built: str, mounted: str) -> None:
    with pytest.raises(VzError, match=r"/three is gone"):
        Runtimes(built, mounted).at("three")
    with pytest.raises(VzError, match="there is no runtime for PID 1 in /nowhere"):
        Runtimes("/nowhere", mounted)
