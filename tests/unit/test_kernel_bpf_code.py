"""Labels of BPF programs: jumps count what takes two places twice."""

import os
import struct

import pytest

from hostd.kernel import bpf_code
from hostd.kernel.bpf_code import R0, R1, answer, assemble, goto, if_equal, put, the_map
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
