"""User id ranges: free, aligned, and nobody else's."""

from pathlib import Path

import pytest

from hostd.container import lease
from hostd.errors import Failure


def test_bases_are_whole_ranges_outside_of_what_systemd_takes() -> None:
    base = lease.lease("", [], [])
    assert base % lease.RANGE == 0
    assert 0x70000000 <= base <= 0x7FFE0000 - lease.RANGE


def test_a_taken_base_is_not_given_twice() -> None:
    taken: list[int] = []
    for _ in range(50):
        taken.append(lease.lease("ab", taken, []))
    assert len(set(taken)) == 50


def test_prefixes_begin_elsewhere() -> None:
    assert len({lease.lease(tag, [], []) for tag in ("", "aa", "bb", "cc")}) == 4


def test_ranges_of_subuid_are_avoided() -> None:
    free = lease.lease("", [], [])
    assert lease.lease("", [], [(free + 10, 1)]) == free + lease.RANGE


def test_when_all_are_taken_it_says_so() -> None:
    everything = [multiple * lease.RANGE for multiple in lease.window("")]
    with pytest.raises(Failure, match="no free range of user ids"):
        lease.lease("", everything, [])


def test_subuid_lines_that_do_not_parse_are_ignored(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("anna:100000:65536\n# comment\nbroken\nbob:x:1\n")
    assert lease.subuid(str(file)) == [(100000, 65536)]
    assert lease.subuid(str(tmp_path / "absent")) == []
