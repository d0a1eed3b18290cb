"""What is saved of a container's /dev: all of one, and no more than one ever holds."""

import os
from pathlib import Path

import pytest

from hostd.checkpoint import dev_tree
from hostd.errors import Failure
from hostd.kernel.fd import Fd


def read(top: Path) -> list[dev_tree.Node]:
    with Fd.open(str(top), os.O_RDONLY | os.O_DIRECTORY) as fd:
        return dev_tree.read(fd, os.getuid())


def test_files_links_and_directories(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "note").write_text("hi")
    (tmp_path / "fd").symlink_to("/proc/self/fd")
    os.mkfifo(tmp_path / "initctl")
    found = {node.path: (node.target, node.data) for node in read(tmp_path)}
    assert found == {"fd": ("/proc/self/fd", ""), "initctl": ("", ""), "net": ("", ""), "net/note": ("", "aGk=")}


def fill_with_files(top: Path) -> None:
    for number in range(2100):
        (top / str(number)).touch()


def fill_with_data(top: Path) -> None:
    for name in ("a", "b"):
        (top / name).write_bytes(bytes(600 << 10))


def fill_with_one_file(top: Path) -> None:
    with open(top / "sparse", "wb") as file:
        file.truncate(1 << 40)


def fill_deep(top: Path) -> None:
    os.makedirs(top / "/".join(["d"] * 40))


@pytest.mark.parametrize("fill", [fill_with_files, fill_with_data, fill_with_one_file, fill_deep])
def test_what_no_dev_holds_is_refused(tmp_path: Path, fill: object) -> None:
    fill(tmp_path)  # type: ignore[operator]
    with pytest.raises(Failure, match="/dev of the container holds more than") as caught:
        read(tmp_path)
    assert caught.value.exit_code == 16
