"""The texts that containers read about themselves: figures in, the kernel's formats out."""

import os

from hostd.proc import texts
from hostd.proc.figures import Memory, Transfers

MIB = 1 << 20
MACHINE = {
    b"MemTotal": 4000, b"MemFree": 3000, b"MemAvailable": 3500, b"Buffers": 7, b"Cached": 9, b"SwapTotal": 100,
    b"SwapFree": 90, b"Dirty": 5, b"Percpu": 77, b"HugePages_Total": 3, b"Hugepagesize": 2048,
    b"VmallocTotal": 123456789,
}  # fmt: skip


def memory(**stat: int) -> Memory:
    counts = {name.encode(): value for name, value in stat.items()}
    return Memory(256 * MIB, 200 * MIB, 213 * MIB, 64 * MIB, 16 * MIB, counts)


def test_meminfo_has_the_lines_of_the_machine_with_the_figures_of_the_container() -> None:
    mine = memory(file=20 * MIB, active_file=8 * MIB, inactive_file=4 * MIB, file_dirty=2048, slab_reclaimable=MIB)
    assert texts.meminfo(MACHINE, mine).decode() == (
        "MemTotal:         262144 kB\n"
        "MemFree:          204800 kB\n"
        "MemAvailable:     218112 kB\n"
        "Buffers:               0 kB\n"
        "Cached:            20480 kB\n"
        "SwapTotal:         65536 kB\n"
        "SwapFree:          49152 kB\n"
        "Dirty:                 2 kB\n"
        "Percpu:                0 kB\n"
        "HugePages_Total:       0\n"
        "Hugepagesize:       2048 kB\n"
        "VmallocTotal:   123456789 kB\n"
    )


def test_swaps_has_a_line_where_there_is_swap() -> None:
    head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    assert texts.swaps(0, 0).decode() == head
    line = texts.swaps(64 * MIB, 16 * MIB).decode().removeprefix(head)
    assert line.split() == ["none", "partition", "65536", "16384", "-2"]


def test_cpuinfo_ends_behind_the_last_processor_it_has() -> None:
    machine = b"".join(b"processor\t: %d\nmodel name\t: x\n\n" % number for number in range(4)) + b"Hardware\t: y\n"
    seen = texts.cpuinfo(machine, 2)
    assert seen.count(b"processor") == 2 and b": 1\n" in seen and b": 2\n" not in seen
    assert seen.endswith(b"\n\nHardware\t: y\n\n")


def test_online() -> None:
    assert [texts.online(count, b"") for count in (1, 2, 16)] == [b"0\n", b"0-1\n", b"0-15\n"]
    assert texts.online(3, b"1,4-5") == b"1,4-5\n", "it runs on these"
    assert texts.online(2, b"1,4-5") == b"0-1\n", "it has the time of so many, wherever"


def test_stat_shares_the_time_out_and_loses_none() -> None:
    lines = texts.stat(2, 301, 50, 10 * 10**9, 1_700_000_000).decode().splitlines()
    assert lines[:3] == [
        "cpu  301 0 50 1649 0 0 0 0 0 0", "cpu0 151 0 25 824 0 0 0 0 0 0", "cpu1 150 0 25 825 0 0 0 0 0 0"
    ]  # fmt: skip
    assert "btime 1700000000" in lines and "processes 0" in lines


def test_with_fewer_processors_than_before_idle_time_goes_on() -> None:
    """It has used more time by now than the one that it has left could have given."""

    def idle(seconds: int) -> int:
        return int(texts.stat(1, 50_000, 0, seconds * 10**9, 0).split()[4])

    assert all(idle(second) >= 0 for second in range(600))
    grown = [idle(second + 1) - idle(second) for second in range(600)]
    assert grown.count(100) > 580, "all but the moments at which it begins anew"
    assert texts.uptime(10**9, 1, 500) == b"1.00 0.00\n"


def test_uptime() -> None:
    assert texts.uptime(61_054_000_000, 2, 150) == b"61.05 120.60\n"


def test_loadavg() -> None:
    assert texts.loadavg((0.5, 1.25, 10.0), 17) == b"0.50 1.25 10.00 1/17 17\n"


def test_diskstats_and_vmstat() -> None:
    disk = Transfers()
    disk.reads, disk.read_bytes, disk.writes, disk.written = 3, 8192, 2, 1024
    line = texts.diskstats({"7:12": "loop12"}, {"7:12": disk}).decode()
    assert line.split() == ["7", "12", "loop12", "3", "0", "16", "0", "2", "0", "2", *["0"] * 10]
    seen = texts.vmstat([b"nr_free_pages", b"pgfault", b"numa_hit", b"pgpgin"], memory(pgfault=9), {"7:12": disk})
    assert seen == b"nr_free_pages %d\npgfault 9\nnuma_hit 0\npgpgin 8\n" % (200 * MIB // os.sysconf("SC_PAGE_SIZE"))
