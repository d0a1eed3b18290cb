"""Cases that are divided between variants: none is lost, and none is left out where all are wanted."""

import pytest

from tests.harness import thinned


def test_each_case_is_in_one_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VZ_THINNED", "1")
    found = [thinned.cases("abcdefgh", variant, 3) for variant in range(3)]
    assert found == [["a", "d", "g"], ["b", "e", "h"], ["c", "f"]]


def test_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VZ_THINNED", raising=False)
    assert thinned.cases("abc", 2, 3) == ["a", "b", "c"]
