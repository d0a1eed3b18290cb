"""Programs of a distribution that look at the machine: they find the container's limits, each in its own way."""

import re

import pytest

from tests.harness.installation import Vz
from tests.harness.needs import needs
from tests.harness.swap import GROUP

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.userland, needs("fuse", "memory", "cpu", "cpuset")]

TEMPLATE = "debian-12-tools"
RAM, MIB = 300, 1 << 20


def inside(vz: Vz, command: str) -> str:
    return vz.ctl("exec2", "101", command).stdout


def screen(text: str) -> str:
    """What a program that draws has written, without saying where."""
    return re.sub(r"\x1b[\[()][0-9;?]*[A-Za-z]|[\x0e\x0f]", "", text)


@pytest.fixture
def limited(vz: Vz) -> Vz:
    vz.create(101, template=TEMPLATE)
    vz.ctl("set", "101", "--ram", f"{RAM}M", "--swap", "100M", "--cpus", "1", "--save")
    vz.ctl("start", "101", "--wait")
    return vz


@GROUP
def test_memory_and_processors(limited: Vz) -> None:
    swap = int(inside(limited, "grep SwapTotal /proc/meminfo").split()[1]) << 10
    assert swap <= 100 * MIB
    total = [line.split()[1] for line in inside(limited, "free -b").splitlines()[1:]]
    assert total == [str(RAM * MIB), str(swap)]
    assert re.search(rf"MiB Mem : +{RAM}\.0 total", inside(limited, "top -bn1"))
    said = inside(limited, "vmstat -sSk")  # of 1000 bytes
    assert int(said.split()[0]) == RAM * MIB // 1000
    assert inside(limited, "nproc; nproc --all; getconf _NPROCESSORS_ONLN").split()[::2] == ["1", "1"]
    assert re.search(r"On-line CPU\(s\) list: +0\n", inside(limited, "lscpu"))
    assert re.search(r" up \d min", inside(limited, "uptime"))
    of_go = inside(limited, "podman info --format '{{.Host.CPUs}} {{.Host.MemTotal}} {{.Host.SwapTotal}}'")
    assert of_go.split() == ["1", str(RAM * MIB), str(swap)]


def test_htop(limited: Vz) -> None:
    """On a terminal, as somebody sees it: one meter, for its one processor, its memory, and its processes."""
    child = limited.spawn("vzctl", "enter", "101", "--exec", "TERM=linux htop -d 5", rows=30, cols=100)
    child.expect("F10")
    drawn = screen(child.before or "")
    assert re.search(r"CPU\[.*?%\]", drawn) and not re.search(r" 1\[", drawn)
    assert re.search(rf"Mem\[[| ]*\d[\d.]*M/{RAM}M\]", drawn)
    assert re.search(r"Tasks: \d+, \d+ thr", drawn) and "sshd" in drawn and "/.vz/bin/vzinit" in drawn
    assert re.search(r"Uptime: 00:0\d:\d\d", drawn)
    child.send("q")


def test_what_it_takes_itself_for(limited: Vz) -> None:
    """A container; with OpenVZ's files one of OpenVZ's."""
    assert inside(limited, "systemd-detect-virt --container") == "container-other\n"
    assert "openvz" not in inside(limited, "virt-what")
    limited.ctl("set", "101", "--features", "openvz:on", "--save")
    limited.ctl("restart", "101", "--wait")
    assert inside(limited, "systemd-detect-virt") == "openvz\n"
    assert "openvz" in inside(limited, "virt-what").splitlines()
