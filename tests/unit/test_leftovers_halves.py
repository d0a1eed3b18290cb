"""What a daemon was writing when it died goes; what people and other tools have put beside it stays."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from hostd.config import files, names
from hostd.config.paths import Paths
from hostd.daemon import leftovers

OLD = 'HOSTNAME="old"\n'
THEIRS = (".101.conf.swp", ".101.conf.tmp", "101.conf.tmp", ".ve-own.conf-sample.x1.tmp", ".keep", "101.mount")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(prefix=str(tmp_path))
    os.makedirs(paths.conf_dir)
    os.makedirs(paths.names_dir)
    return paths


def dies(monkeypatch: pytest.MonkeyPatch, call: str, work: Callable[[], None]) -> None:
    """*work* is killed at the first call of `os.call`."""
    child = os.fork()
    if not child:
        monkeypatch.setattr(os, call, lambda *_: os._exit(0))
        work()
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0, f"it never came to {call}"


def test_halves_of_our_own_go(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    written = (paths.ct_conf(101), paths.ct_creating(101), paths.ct_destroying(101), paths.ct_first_boot(101))
    for path in written:
        files.replace(path, OLD)
        dies(monkeypatch, "fsync", partial(files.replace, path, OLD * 2))
    dies(monkeypatch, "rename", lambda: names.assign(paths, 101, "web"))
    assert len(os.listdir(paths.conf_dir)) == 2 * len(written) and len(os.listdir(paths.names_dir)) == 1
    for path in (f"{paths.conf_dir}/{name}" for name in THEIRS):
        Path(path).touch()
    Path(paths.ct_conf(102)).write_text('NAME=".102.mail"\n')
    names.assign(paths, 102, ".102.mail")
    leftovers.sweep_halves(paths)
    assert sorted(os.listdir(paths.conf_dir)) == sorted(["102.conf", *map(os.path.basename, written), *THEIRS])
    assert all(files.read(path) == OLD for path in written)
    assert os.listdir(paths.names_dir) == [".102.mail"]


def test_without_any_directory(tmp_path: Path) -> None:
    leftovers.sweep_halves(Paths(prefix=str(tmp_path)))
