"""Hierarchies as /proc/self/mountinfo tells of them."""

from hostd.cgroup.hierarchies import mode, parse

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"


def test_controllers_of_a_hierarchy_are_its_mount_options() -> None:
    cpu, memory, systemd, unified = parse(HYBRID)
    assert (cpu.path, cpu.controllers) == ("/sys/fs/cgroup/cpu,cpuacct", frozenset({"cpu", "cpuacct"}))
    assert memory.controllers == {"memory"}
    assert systemd.controllers == {"name=systemd"}
    assert unified.unified


def test_a_hierarchy_that_is_mounted_twice_counts_once() -> None:
    again = HYBRID + "90 23 0:30 / /srv/chroot/sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    assert list(parse(again)) == list(parse(HYBRID))


def test_mode() -> None:
    hybrid = tuple(parse(HYBRID))
    assert mode(hybrid) == "hybrid"
    assert mode(tuple(h for h in hybrid if not h.unified)) == "v1"
    assert mode(tuple(parse(V2))) == "v2"


def test_a_hierarchy_that_limits_nothing_stands_beside_v2() -> None:
    """Mounted for some VPN, or for old guests: the controllers are all in the unified tree."""
    for options in ("rw,net_cls", "rw,none,name=systemd", "rw,freezer", "rw,devices"):
        beside = V2 + f"90 23 0:99 / /run/other rw - cgroup cgroup {options}\n"
        assert mode(tuple(parse(beside))) == "v2"
    assert mode(tuple(parse(V2 + "90 23 0:99 / /run/other rw - cgroup cgroup rw,memory\n"))) == "hybrid"


def test_octal_escapes_in_a_mount_point() -> None:
    (only,) = parse(V2.replace("/sys/fs/cgroup", r"/a\040b\134c"))
    assert only.path == "/a b\\c"


def test_a_dash_among_the_optional_fields_is_not_the_separator() -> None:
    (only,) = parse(V2.replace("shared:4", "shared:4 master:1"))
    assert only.unified
