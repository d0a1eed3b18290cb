"""Values of D-Bus: what goes in comes out, as the specification has it, and bad bytes are refused as such."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vzinit import dbus_wire
from vzinit.dbus_wire import BadMessage, marshal, unmarshal

# By hand from the specification: (signature, values, bytes).  Little endian; offsets count from the first byte.
VECTORS = [
    ("y", [7], b"\x07"),
    ("b", [True], b"\1\0\0\0"),
    ("n", [-2], b"\xfe\xff"),
    ("yq", [1, 2], b"\1\0\2\0"),
    ("yu", [1, 2], b"\1\0\0\0\2\0\0\0"),
    ("yx", [1, -1], b"\1" + bytes(7) + b"\xff" * 8),
    ("s", ["foo"], b"\3\0\0\0foo\0"),
    ("s", ["é"], b"\2\0\0\0\xc3\xa9\0"),
    ("o", ["/a"], b"\2\0\0\0/a\0"),
    ("g", ["a{sv}"], b"\5a{sv}\0"),
    ("ay", [b"ab"], b"\2\0\0\0ab"),
    ("as", [["a", "bc"]], b"\x0f\0\0\0" b"\1\0\0\0a\0" b"\0\0" b"\2\0\0\0bc\0"),
    ("at", [[]], bytes(8)),  # the padding before a first element is there without one, and not part of the length
    ("at", [[5]], b"\x08\0\0\0" b"\0\0\0\0" b"\5\0\0\0\0\0\0\0"),
    ("yat", [1, [5]], b"\1\0\0\0" b"\x08\0\0\0" b"\5\0\0\0\0\0\0\0"),
    ("(yy)y", [(1, 2), 3], b"\1\2\3"),
    ("y(y)", [1, (2,)], b"\1" + bytes(7) + b"\2"),
    ("v", [("u", 9)], b"\1u\0\0" b"\x09\0\0\0"),
    ("a{sv}", [{"a": ("b", True)}], b"\x10\0\0\0" b"\0\0\0\0" b"\1\0\0\0a\0" b"\1b\0" b"\0\0\0" b"\1\0\0\0"),
    ("a{yy}", [{1: 2}], b"\2\0\0\0" b"\0\0\0\0" b"\1\2"),
]  # fmt: skip

BAD_SIGNATURES = ["d", "a", "(", "()", "(s", "s)", "{ss}", "a{s}", "a{sss}", "a{vs}", "a{ss", "z", "é", "\0", "r",
                  "a" * 33 + "y", "(" * 33 + "y" + ")" * 33, "y" * 256]  # fmt: skip
BAD_BYTES = [
    ("b", b"\2\0\0\0"), ("u", b"\0\0\0"), ("yu", b"\1\1\0\0\2\0\0\0"), ("s", b"\1\0\0\0ab"), ("s", b"\1\0\0\0\xff\0"),
    ("s", b"\1\0\0\0\0\0"), ("s", b"\xff\xff\xff\xff"), ("o", b"\0\0\0\0\0"), ("o", b"\3\0\0\0/a/\0"),
    ("o", b"\3\0\0\0/-a\0"), ("g", b"\1(\0"), ("as", b"\xff\xff\xff\xff"), ("au", b"\2\0\0\0\1\0"), ("y", b"\1\2"),
    ("au", b"\5\0\0\0\1\0\0\0\1\0\0\0"), ("v", b"\0\0"), ("v", b"\2yy\0\1\1"), ("v", b"\1v\0" * 70 + b"\1y\0\1"),
]  # fmt: skip
BAD_VALUES = [
    ("y", [256]), ("y", ["x"]), ("u", [-1]), ("u", []), ("s", [1]), ("s", ["a\0b"]), ("s", [None]), ("o", ["a"]),
    ("g", ["("]), ("v", [("", 1)]), ("v", ["abc"]), ("v", [3]), ("(ss)", [("a",)]), ("as", [3]), ("a{ss}", [["a"]]),
    ("ay", [3]),
]  # fmt: skip

INTEGERS = {code: st.integers(-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1) if signed
            else st.integers(0, (1 << 8 * size) - 1)
            for code, (size, signed) in dbus_wire.NUMBERS.items() if code != "b"}  # fmt: skip
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
BASIC = {**INTEGERS, "b": st.booleans(), "s": TEXT, "o": st.sampled_from(["/", "/a", "/a/B_2"]),
         "g": st.sampled_from(["", "s", "a{sv}(ii)"])}  # fmt: skip
Pair = tuple[str, st.SearchStrategy[Any]]


def list_of(pair: Pair) -> Pair:
    return "a" + pair[0], st.binary(max_size=9) if pair[0] == "y" else st.lists(pair[1], max_size=3)


def structure(pairs: list[Pair]) -> Pair:
    return "(" + "".join(code for code, _ in pairs) + ")", st.tuples(*(values for _, values in pairs))


def dictionary(key: Pair, value: Pair) -> Pair:
    return f"a{{{key[0]}{value[0]}}}", st.dictionaries(key[1], value[1], max_size=3)


def variant(pair: Pair) -> Pair:
    return "v", pair[1].map(lambda value: (pair[0], value))


basic = st.sampled_from(sorted(BASIC)).map(lambda code: (code, BASIC[code]))
types: st.SearchStrategy[Pair] = st.recursive(
    basic,
    lambda inner: st.one_of(
        inner.map(list_of),
        st.lists(inner, min_size=1, max_size=3).map(structure),
        st.builds(dictionary, basic, inner),
        inner.map(variant),
    ),
    max_leaves=5,
)


def body_of(pairs: list[Pair]) -> st.SearchStrategy[tuple[str, list[Any]]]:
    return st.tuples(st.just("".join(code for code, _ in pairs)), st.tuples(*(one for _, one in pairs)).map(list))


bodies = st.lists(types, max_size=3).flatmap(body_of)


@pytest.mark.parametrize(("signature", "values", "data"), VECTORS)
def test_bytes_of_the_specification(signature: str, values: list[Any], data: bytes) -> None:
    assert marshal(signature, values) == data
    assert unmarshal(signature, data) == values


@given(bodies, st.booleans())
def test_round_trip_of_values(body: tuple[str, list[Any]], little_endian: bool) -> None:
    signature, values = body
    assert unmarshal(signature, marshal(signature, values, little_endian), little_endian) == values


def test_big_endian() -> None:
    assert marshal("yu", [1, 2], little_endian=False) == b"\1\0\0\0\0\0\0\2"


def test_text_that_utf8_cannot_carry() -> None:
    assert unmarshal("s", marshal("s", ["a\udcff"])) == ["a?"]


@pytest.mark.parametrize("signature", BAD_SIGNATURES)
def test_bad_signatures(signature: str) -> None:
    with pytest.raises(BadMessage):
        dbus_wire.types_of(signature)


@pytest.mark.parametrize(("signature", "data"), BAD_BYTES)
def test_bad_bytes(signature: str, data: bytes) -> None:
    with pytest.raises(BadMessage):
        unmarshal(signature, data)


@pytest.mark.parametrize(("signature", "values"), BAD_VALUES)
def test_bad_values(signature: str, values: list[Any]) -> None:
    with pytest.raises(BadMessage):
        marshal(signature, values)


@given(st.text("ybnqiuxtsogha(){}v", max_size=8), st.binary(max_size=60), st.booleans())
def test_random_bytes(signature: str, data: bytes, little_endian: bool) -> None:
    try:
        values = unmarshal(signature, data, little_endian)
    except BadMessage:
        return
    assert unmarshal(signature, marshal(signature, values, little_endian), little_endian) == values
