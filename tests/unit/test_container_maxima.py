"""The most that was seen, over the death of the daemon."""

import json
import os
from pathlib import Path

import pytest

from hostd.config.paths import Paths
from hostd.container.maxima import Maxima


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(str(tmp_path))
    os.makedirs(paths.records_dir)
    return paths


def test_only_what_has_grown_is_written(paths: Paths) -> None:
    maxima = Maxima.of(paths, 101, 7)
    assert maxima.most == {}
    maxima.note({"numfile": 5, "numpty": 0})
    assert json.loads(Path(maxima.path).read_text()) == {"serial": 7, "most": {"numfile": 5}}
    written = os.stat(maxima.path).st_ino
    maxima.note({"numfile": 4})
    assert os.stat(maxima.path).st_ino == written
    maxima.note({"numfile": 6})
    assert Maxima.of(paths, 101, 7).most == {"numfile": 6}
    assert os.stat(maxima.path).st_mode & 0o777 == 0o600


def test_another_start_begins_anew(paths: Paths) -> None:
    Maxima.of(paths, 101, 7).note({"numfile": 5})
    assert Maxima.of(paths, 101, 8).most == {}
    assert Maxima.of(paths, 102, 7).most == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"serial": 7}', '{"serial": 7, "most": {"numfile": "many"}}'])
def test_a_broken_file_is_as_none(paths: Paths, text: str) -> None:
    Path(paths.ct_maxima(101)).write_text(text)
    assert Maxima.of(paths, 101, 7).most == {}


def test_a_place_that_takes_nothing_is_no_failure(paths: Paths) -> None:
    maxima = Maxima(f"{paths.records_dir}/none/101.most", 7)
    maxima.note({"numfile": 5})
    assert maxima.most == {"numfile": 5}
