"""Labels of BPF programs: jumps count what takes two places twice."""

import os
import struct

import pytest

from hostd.kernel import bpf_code
from hostd.kernel.bpf_code import R0, R1, answer, assemble, goto, if_equal, put, put_wide, the_map
from hostd.kernel.fd import Fd


def offsets(code: bpf_code.Code) -> list[int]:
    """Of every slot."""
    return [offset for _, _, offset, _ in struct.iter_unpack("<BBhi", assemble(code))]


def test_jumps_lead_to_their_labels() -> None:
    with Fd(os.open("/dev/null", os.O_RDONLY)) as map:
        code: bpf_code.Code = ["begin", if_equal(R1, 0, "end"), the_map(R1, map), put(R0, 3), goto("begin"), "end"]
        assert offsets([*code, *answer(1)]) == [4, 0, 0, 0, -5, 0, 0]
        assert assemble(code)[8:24] == bytes((0x18, 0x11, 0, 0, map.fileno(), 0, 0, 0)) + bytes(8)


def test_a_label_that_is_not_there() -> None:
    with pytest.raises(KeyError, match="nowhere"):
        assemble([goto("nowhere"), *answer(0)])


def test_a_wide_number_has_two_slots() -> None:
    low, high = 0x8000_0001, 0x0123_4567
    code = assemble([goto("end"), put_wide(R1, high << 32 | low), "end", *answer(0)])
    assert code[:8] == struct.pack("<BBhi", 0x05, 0, 2, 0)
    assert code[8:24] == struct.pack("<BBhIBBhI", 0x18, 1, 0, low, 0, 0, 0, high)
