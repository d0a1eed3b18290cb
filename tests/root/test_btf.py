"""What the running kernel says of its own structures, against what programs have always been able to rely on."""

import errno

import pytest

from hostd.kernel import btf, sysinfo_program
from hostd.kernel.btf import ENUM, FUNCTION, STRUCT, UNION, Found, Want

pytestmark = pytest.mark.root


def test_places_of_members() -> None:
    wanted = {"uptime": 0, "totalram": 32, "freeram": 40, "totalswap": 64, "freeswap": 72, "mem_unit": 104}
    found = btf.find(*(Want(STRUCT, "sysinfo", member) for member in wanted))
    assert [one.value for one in found] == list(wanted.values())


def test_values_functions_and_members_without_a_name() -> None:
    number, function, swaps = btf.find(
        Want(ENUM, "cgroup_subsys_id", "memory_cgrp_id"), Want(FUNCTION, "do_exit"), Want(UNION, member="memsw")
    )
    assert 0 < number.value < 32 and function.id > 0
    memory, swap = btf.find(Want(STRUCT, "mem_cgroup", "memory"), Want(STRUCT, "mem_cgroup", of_type=swaps.id))
    assert memory.id == swap.id and memory.value < swap.value


def test_all_together_are_what_each_is_alone() -> None:
    wants = [Want(STRUCT, "task_struct", "cgroups"), Want(STRUCT, "kernfs_node", "id"), Want(STRUCT, "cgroup", "kn")]
    assert btf.find(*wants) == [found for want in wants for found in btf.find(want)]


@pytest.mark.parametrize(
    ("wants", "code"),
    [
        ([Want(STRUCT, "no_such_struct_as_this")], errno.ENOENT),
        ([Want(STRUCT, "sysinfo", "vz_no_member")], errno.ENOENT),
        ([Want(STRUCT, "sysinfo", "cgroups")], errno.ENOENT),
        ([Want(FUNCTION, "x" * 200)], errno.ENOENT),
        ([Want(STRUCT, "sysinfo")] * 17, errno.E2BIG),
    ],
)
def test_what_is_not_there(wants: list[Want], code: int) -> None:
    with pytest.raises(OSError) as caught:
        btf.find(*wants)
    assert caught.value.errno == code


def test_what_the_program_needs_is_there() -> None:
    places = sysinfo_program.places()
    assert places.function > 0 and places.memory_state % 8 == 0 and places.swap > places.memory > 0


def test_nothing_is_wanted() -> None:
    found: list[Found] = btf.find()
    assert found == []
