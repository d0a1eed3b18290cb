"""--privileged yes: a choice that says what it means, works, and still keeps out accidents."""

import re

import pytest

from hostd.kernel import caps
from tests.harness.escape import Guest, host_state
from tests.harness.installation import Vz

pytestmark = pytest.mark.system

MEANING = "Warning: privileged: root inside is root of the host"


@pytest.fixture
def guest(vz: Vz) -> Guest:
    """A started one."""
    vz.create(101, template="debian-12")
    assert MEANING in vz.ctl("set", "101", "--privileged", "yes", "--save").stdout
    assert MEANING in vz.ctl("start", "101").stdout
    return Guest(vz, 101)


def test_it_lives_and_dies_like_any_other(guest: Guest) -> None:
    vz = guest.vz
    assert guest.sh("cat /proc/self/uid_map").stdout.split() == ["0", "0", "4294967295"]
    assert guest.sh("touch /root/x && stat -c %u /root/x").stdout == "0\n"
    vz.ctl("restart", "101")
    assert guest.sh("cat /root/x").code == 0
    refused = vz.ctl("chkpnt", "101", check=None)
    assert refused.code != 0 and "privileged" in refused.stderr
    vz.ctl("stop", "101")
    vz.ctl("set", "101", "--privileged", "no", "--save")
    assert MEANING not in vz.ctl("start", "101").stdout
    assert guest.sh("stat -c %u /root/x").stdout == "0\n", "ids on disk do not depend on it"


def test_what_holds(guest: Guest) -> None:
    """The dropped capabilities, the device filter, the system call filter, own namespaces; and the masks, if left."""
    before = host_state()
    held = re.search("^CapBnd:\t(.*)$", guest.sh("cat /proc/self/status").stdout, re.MULTILINE)
    assert held and not caps.bits(held[1]) & set(caps.PRIVILEGED_DROP)

    for name in ("kernel/core_pattern", "vm/overcommit_memory", "fs/file-max"):
        done = guest.sh(f"cat /proc/sys/{name} > /proc/sys/{name}")
        assert done.code != 0 and "Read-only" in done.stderr, done
    assert guest.sh("echo 1 > /proc/sys/net/ipv4/ip_forward").code == 0, "its own network's"
    assert guest.sh("echo x > /sys/kernel/uevent_helper").code != 0

    assert guest.sh("mknod /tmp/d b 254 0").code != 0
    for device in ("mem", "vda", "loop0", "loop-control", "kmsg"):
        opened = guest.sh(f"mount -t devtmpfs d /mnt && head -c1 /mnt/{device}; r=$?; umount /mnt; exit $r")
        assert opened.code != 0, (device, opened)

    assert guest.syscall("open_by_handle_at", "3", "$b", "0") == "EPERM"
    assert guest.syscall("init_module", "$b", "0", "$b") == "EPERM"
    assert guest.syscall("bpf", "5", "$b", "120") == "EPERM"
    assert guest.socket(40, 1, 0) == "EAFNOSUPPORT"
    assert guest.sh(f"kill -0 {guest.vz.keeper_pid}").code != 0
    assert guest.sh("cat /proc/self/cgroup").stdout.splitlines()[-1] == "0::/"
    assert host_state() == before
