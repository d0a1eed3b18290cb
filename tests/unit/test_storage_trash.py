"""What is renamed away to be deleted."""

import errno
import os
from pathlib import Path

import pytest

from hostd.storage import trash


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(trash, "delete_later", found.append)
    return found


def test_a_full_disk_keeps_nobody_from_destroying(
    tmp_path: Path, queued: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room for another name of what is there already, but for no directory."""
    (tmp_path / "101/etc").mkdir(parents=True)
    (tmp_path / "trash").mkdir()

    def full(path: str, _mode: int = 0) -> None:
        if os.path.exists(path):
            raise FileExistsError(path)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as filled:
        filled.setattr(os, "mkdir", full)
        gone = trash.discard(str(tmp_path / "101"), str(tmp_path / "trash"))
    assert queued == [gone] and os.listdir(gone) == ["etc"]
    assert os.path.basename(gone).startswith(trash.PREFIX) and not os.path.exists(tmp_path / "101")


def test_a_link_is_not_followed(tmp_path: Path, queued: list[str]) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "101").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotADirectoryError):
        trash.discard(str(tmp_path / "101"), str(tmp_path / "trash"))
    assert queued == [] and os.listdir(tmp_path / "trash") == []
    assert os.path.islink(tmp_path / "101")
