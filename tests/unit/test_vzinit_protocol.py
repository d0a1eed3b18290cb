"""Frames: what goes in comes out, and nothing else gets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vzinit import protocol

text = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=50)
keys = st.text(st.characters(exclude_characters="\0="), min_size=1, max_size=10)


@given(st.dictionaries(keys, st.lists(text, min_size=1, max_size=4), max_size=5))
def test_round_trip(fields: dict[str, list[str]]) -> None:
    fields = {key: value for key, value in fields.items() if key not in ("verb",)}
    try:
        frame = protocol.encode("verb", **fields)
    except UnicodeEncodeError:
        return  # lone surrogates that are no escaped bytes
    assert protocol.decode(frame) == ("verb", fields)


def test_bytes_that_are_not_utf8_survive() -> None:
    name = b"\xff\xfe".decode("utf-8", "surrogateescape")
    assert protocol.decode(protocol.encode("v", a=name))[1]["a"] == [name]


def test_none_is_left_out_and_numbers_are_text() -> None:
    assert protocol.decode(protocol.encode("v", a=None, b=3, c=[1, "x"])) == ("v", {"b": ["3"], "c": ["1", "x"]})


@pytest.mark.parametrize("frame", [b"", b"verb", b"verb\0field\0"])
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(protocol.BadFrame):
        protocol.decode(frame)


def test_nul_and_oversize_are_refused_before_they_are_sent() -> None:
    with pytest.raises(protocol.BadFrame, match="NUL"):
        protocol.encode("v", a="x\0y")
    with pytest.raises(protocol.BadFrame, match="more than a message can carry"):
        protocol.encode("v", a="x" * protocol.MAX_FRAME)
