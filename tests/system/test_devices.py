"""Devices of the host in a running container, and the capabilities of its processes."""

import os
import signal

import pytest

from hostd.kernel import caps
from tests.harness import fuse_guest, leaks, machine
from tests.harness.installation import TIMEOUT, Vz
from tests.harness.needs import CHECKPOINTS, needs
from tests.harness.reboots import reboot

pytestmark = [pytest.mark.system, needs("fuse")]


def opens(vz: Vz, how: str, name: str = "fuse") -> bool:
    """Can a program inside open it?  *how*: `<`, `>` or `<>`."""
    return vz.ctl("exec2", "101", f": {how}/dev/{name}", check=None).code == 0


def there(vz: Vz, name: str = "fuse") -> bool:
    return vz.ctl("exec2", "101", f"test -c /dev/{name}", check=None).code == 0


def test_devnodes_are_live_and_last(vz: Vz) -> None:
    vz.start(101)
    assert not there(vz)
    assert "Setting devices\n" in vz.ctl("set", "101", "--devnodes", "fuse:rw", "--save").stdout
    assert there(vz) and opens(vz, "<>")
    reboot(vz)
    assert there(vz) and opens(vz, "<>")
    vz.ctl("set", "101", "--devnodes", "fuse:none", "--save")
    assert not there(vz)
    vz.ctl("restart", "101")
    assert not there(vz)


def test_features_give_devices(vz: Vz) -> None:
    vz.start(101)
    for switch in ("on", "off"):
        vz.ctl("set", "101", "--features", f"tun:{switch},fuse:{switch}", "--save")
        assert there(vz) is (switch == "off"), "after a restart"
        vz.ctl("restart", "101")
        for name in ("fuse", "net/tun"):
            assert (there(vz, name) and opens(vz, "<>", name)) is (switch == "on")


def test_access_is_what_was_given(vz: Vz) -> None:
    """The filter is changed in place: what it allowed before, it allows all the while."""
    vz.start(101)
    vz.ctl("set", "101", "--devnodes", "fuse:r")
    assert opens(vz, "<") and not opens(vz, "<>") and opens(vz, "<>", "null")
    vz.ctl("set", "101", "--devices", "c:10:229:rw")
    assert opens(vz, "<>")
    vz.ctl("set", "101", "--devices", "c:10:all:r", "--devices", "c:10:229:none")
    assert opens(vz, "<") and not opens(vz, "<>")
    vz.ctl("set", "101", "--devnodes", "fuse:none", "--devices", "c:10:all:none")
    assert not there(vz) and opens(vz, "<>", "null")


def test_a_new_daemon_finds_the_filter(vz: Vz) -> None:
    """It is replaced by the next one, and not added to: both would have to agree."""
    vz.start(101)
    vz.ctl("set", "101", "--devnodes", "fuse:r")
    vz.kill_daemon()
    vz.ctl("set", "101", "--devnodes", "fuse:rw")
    assert opens(vz, "<>")
    vz.ctl("set", "101", "--devnodes", "fuse:r")
    assert opens(vz, "<") and not opens(vz, "<>")


def test_a_node_in_a_directory(vz: Vz) -> None:
    vz.create(101)
    vz.ctl("set", "101", "--devnodes", "net/tun:rw", "--save")
    vz.ctl("start", "101")
    assert opens(vz, "<>", "net/tun")
    vz.ctl("set", "101", "--devnodes", "net/tun:none")
    vz.ctl("set", "101", "--devnodes", "net/tun:rw")
    assert opens(vz, "<>", "net/tun")


def test_a_guest_in_the_way(vz: Vz) -> None:
    """Links lead nowhere, what has the name stays, and the filter is as it was."""
    vz.start(101)
    vz.ctl("exec2", "101", "ln -s /etc /dev/net; echo mine > /dev/fuse")
    said = vz.ctl("set", "101", "--devnodes", "net/tun:rw", "--cpuunits", "500", check=86)
    assert said.stderr.startswith("cannot change /dev/net/tun in CT 101: ") and len(said.stderr.splitlines()) == 1
    assert vz.ctl("exec2", "101", "ls /etc/tun", check=None).code != 0
    said = vz.ctl("set", "101", "--devnodes", "fuse:rw", check=86)
    assert said.stderr == "cannot change /dev/fuse in CT 101: something else has that name\n"
    assert vz.ctl("exec2", "101", "cat /dev/fuse").stdout == "mine\n"
    vz.ctl("exec2", "101", "rm /dev/fuse")
    vz.ctl("set", "101", "--devnodes", "fuse:rw")
    vz.ctl("set", "101", "--devnodes", "fuse:none", "--devnodes", "net/tun:rw", check=86)
    assert there(vz), "what was taken away before is there again"
    assert vz.vzlist("-H", "-o", "cpuunits", "101").strip() == "1000"


def test_what_the_guest_mounts_in_dev_is_not_touched(vz: Vz) -> None:
    """It may be a directory that the host has lent it: nobody makes a node there, or gives it away."""
    vz.start(101)
    vz.ctl("exec2", "101", "mkdir /run/mine /dev/net; mount --bind /run/mine /dev/net")
    said = vz.ctl("set", "101", "--devnodes", "net/tun:rw", check=86)
    assert said.stderr == "cannot change /dev/net/tun in CT 101: something else is mounted there\n"
    vz.ctl("exec2", "101", "umount /dev/net; mount -t devpts none /dev")
    said = vz.ctl("set", "101", "--devnodes", "fuse:rw", check=86)
    assert said.stderr == "cannot change /dev/fuse in CT 101: something else is mounted there\n"
    assert vz.ctl("exec2", "101", "umount /dev; ls /run/mine").stdout == ""


def test_what_the_host_lends_is_no_dev(vz: Vz) -> None:
    """A tmpfs of the administrator's, which the guest has bound to the place of its own."""
    vz.start(101)
    vz.ctl("exec2", "101", "mkdir /lent")
    lent = vz.paths.root_default.replace("$VEID", "101") + "/lent"
    vz.run("mount", "-t", "tmpfs", "lent", lent)
    try:
        vz.ctl("exec2", "101", "mount --bind /lent /dev")
        said = vz.ctl("set", "101", "--devnodes", "fuse:rw", check=86)
        assert said.stderr == "cannot change /dev/fuse in CT 101: something else is mounted there\n"
        assert os.listdir(lent) == []
    finally:
        vz.ctl("exec", "101", "umount /dev", check=None)
        vz.run("umount", lent)


def test_a_guest_that_does_not_answer(vz: Vz) -> None:
    """Its /dev is a program of its own: that costs it what was to be set, and nobody else anything."""
    silent(vz, "directory")
    for options, code, words in (
        (("--devnodes", "net/tun:rw"), 86, "cannot change /dev in CT 101: its file systems do not answer\n"),
        (("--numpty", "5"), 1, "cannot set NUMPTY to 5: its file systems do not answer\n"),
    ):
        setting = vz.popen("vzctl", "set", "101", *options)
        machine.until("it is being set", lambda: '"intent": "set"' in machine.read(vz.paths.ct_record(101)))
        assert vz.vzlist("-H", "-o", "status").strip() == "running", "others are served"
        out, err = setting.communicate(timeout=TIMEOUT)
        assert (setting.returncode, err) == (code, words), out
    assert "is mounted" in vz.ctl("chkpnt", "101", check=16).stderr
    vz.ctl("stop", "101", "--fast")
    assert leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101) == []


def test_a_guest_that_hands_over_what_cannot_be_closed(vz: Vz) -> None:
    """Neither by hostd, which goes on, nor by the end of hostd: the next one does not wait for that."""
    silent(vz, "descriptor")
    assert vz.ctl("exec2", "101", "echo hi").stdout == "hi\n"
    first = vz.daemon_pid
    os.kill(first, signal.SIGKILL)
    machine.until("another daemon", lambda: vz.daemon_pid not in (0, first))
    assert vz.ctl("exec2", "101", "echo hi").stdout == "hi\n"
    vz.ctl("stop", "101", "--fast")
    machine.until("the first one has ended", lambda: not os.path.exists(f"/proc/{first}"))


def silent(vz: Vz, what: str) -> None:
    """Container 101, which has *what* of `fuse_guest`."""
    vz.create(101, template="debian-12-tools")
    vz.ctl("set", "101", "--features", "fuse:on", "--save")
    vz.ctl("start", "101")
    program = machine.read(fuse_guest.__file__)
    run = f"cat >/run/silent.py; python3 /run/silent.py {what} 2>&1 </dev/null"
    assert vz.ctl("exec2", "101", run, input=program).stdout == "there\n"


def test_a_device_that_the_host_has_not(vz: Vz) -> None:
    vz.start(101)
    said = vz.ctl("set", "101", "--devnodes", "nowhere:rw", "--save", check=21)
    assert said.stderr == "the host has no device /dev/nowhere\n"
    with open(vz.paths.ct_conf(101), "a", encoding="ascii") as file:
        file.write('DEVNODES="nowhere:rw fuse:rw"\n')
    line = "Warning: the host has no /dev/nowhere: DEVNODES without"
    assert line in vz.ctl("restart", "101").stdout.splitlines()
    assert opens(vz, "<>")


@CHECKPOINTS
def test_devices_after_a_restore(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("set", "101", "--devnodes", "fuse:rw")
    vz.ctl("chkpnt", "101")
    vz.ctl("set", "101", "--devnodes", "net/tun:rw", "--save")
    vz.ctl("restore", "101")
    assert opens(vz, "<>", "net/tun")
    vz.ctl("set", "101", "--devnodes", "fuse:rw")
    assert opens(vz, "<>")


def bounding(vz: Vz) -> frozenset[int]:
    return caps.bits(vz.ctl("exec2", "101", "grep CapBnd /proc/self/status").stdout.split()[1])


def test_capabilities(vz: Vz) -> None:
    vz.start(101)
    before = bounding(vz)
    vz.ctl("set", "101", "--capability", "net_raw:off", check=32)
    said = vz.ctl("set", "101", "--capability", "net_raw:off,sys_time:on", "--save", "--setmode", "restart")
    assert "Warning: CAPABILITY SYS_TIME:on has no effect: " in said.stdout
    assert before - bounding(vz) >= set(caps.numbers("net_raw"))
    assert vz.vzlist("-H", "-o", "capability", "101").strip() == "net_raw:off,sys_time:on"
    vz.ctl("set", "101", "--capability", "net_raw:on", "--save", "--setmode", "restart")
    assert caps.number("net_raw") in bounding(vz)
