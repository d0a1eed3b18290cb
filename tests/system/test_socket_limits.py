"""Limits of the sockets and the open files of a container, as programs inside feel them, and what they leave alone."""

from collections.abc import Callable

import pytest

from hostd.config.files import replace
from hostd.kernel import probes
from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS, needs
from tests.harness.reboots import reboot

pytestmark = [pytest.mark.system, needs("socket-limits")]

REFUSED = "No buffer space available"


def figures(vz: Vz, *fields: str, ctid: int = 101) -> list[str]:
    return vz.vzlist("-Ho", ",".join(fields), str(ctid)).split()


def listens(vz: Vz, port: int, ctid: int = 101) -> bool:
    """A program inside has a TCP socket of its own, and keeps it; False: it was refused one."""
    held = int(figures(vz, "numtcpsock", ctid=ctid)[0])
    said = vz.ctl(
        *("exec2", str(ctid), f"nc -l -p {port} >/tmp/{port} 2>&1 </dev/null & sleep 0.3; cat /tmp/{port}"), check=0
    )
    if REFUSED in said.stdout:
        return False
    machine.until("it has its socket", lambda: int(figures(vz, "numtcpsock", ctid=ctid)[0]) == held + 1)
    return True


def refused(vz: Vz) -> int:
    """TCP sockets, so far.  nc tries more than one when it gets none."""
    return int(figures(vz, "numtcpsock.f")[0])


def pings(vz: Vz, ctid: int = 101) -> bool:
    said = vz.ctl("exec2", str(ctid), "ping -c1 127.0.0.1 2>&1", check=None)
    assert said.code == 0 or REFUSED in said.stdout, said
    return said.code == 0


def test_sockets_are_limited_live_and_for_good(vz: Vz) -> None:
    for ctid in (101, 102):
        vz.start(ctid)
    assert listens(vz, 7001)
    said = vz.ctl("set", "101", "--numtcpsock", "2", "--numothersock", "0", "--save")
    assert said.stdout.splitlines()[0] == "UB limits were set successfully" and "Warning" not in said.stdout
    assert listens(vz, 7002) and not listens(vz, 7003) and not pings(vz)
    assert figures(vz, "numtcpsock.l") == ["2"] and refused(vz) > 0 and figures(vz, "numothersock.f") != ["0"]
    assert listens(vz, 7001, ctid=102) and listens(vz, 7002, ctid=102) and listens(vz, 7003, ctid=102)
    assert pings(vz, ctid=102) and figures(vz, "numtcpsock.f", ctid=102) == ["0"]
    vz.ctl("exec2", "101", "killall nc")
    machine.until("there is room", lambda: figures(vz, "numtcpsock") == ["0"])
    assert listens(vz, 7004)
    vz.ctl("set", "101", "--numothersock", "5")
    assert pings(vz)
    reboot(vz)
    assert figures(vz, "numtcpsock.f", "numothersock.f") == ["0", "0"]
    assert listens(vz, 7001) and listens(vz, 7002) and not listens(vz, 7003) and not pings(vz)
    vz.ctl("set", "101", "--numtcpsock", "unlimited", "--numothersock", "unlimited", "--save")
    assert listens(vz, 7004) and pings(vz)
    assert refused(vz) > 0  # what was refused was refused


@pytest.mark.parametrize("kill", [Vz.kill_daemon, Vz.kill_both], ids=["daemon", "both"])
def test_a_limit_and_its_count_survive_hostd(vz: Vz, kill: Callable[[Vz], None]) -> None:
    vz.start(101)
    vz.ctl("set", "101", "--numtcpsock", "1")
    assert listens(vz, 7001) and not listens(vz, 7002)
    before = refused(vz)
    kill(vz)
    assert figures(vz, "numtcpsock") == ["1"] and refused(vz) == before > 0
    assert not listens(vz, 7002)
    vz.ctl("set", "101", "--numtcpsock", "2")
    assert listens(vz, 7002) and not listens(vz, 7003)
    assert refused(vz) == 3 * before


def test_what_was_refused_survives_hostd_in_the_change_that_ends_the_limit(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("set", "101", "--numtcpsock", "1")
    assert listens(vz, 7001) and not listens(vz, 7002)
    before = refused(vz)
    fault = f"{vz.prefix}/fault"
    vz.env["VZ_FAULT"] = f"@{fault}"
    vz.kill_both()
    replace(fault, "set.logins:daemon")
    dies = vz.daemon_pid
    vz.ctl("set", "101", "--numtcpsock", "unlimited", check=None)
    machine.until("hostd is killed", lambda: not machine.alive(dies))
    assert refused(vz) >= before > 0
    assert not listens(vz, 7003)  # the change was taken back


@CHECKPOINTS
def test_sockets_of_a_checkpoint_are_more_than_are_allowed_now(vz: Vz) -> None:
    """All of them come back, and no new one until there is room."""
    vz.start(101)
    vz.ctl("set", "101", "--numtcpsock", "2", "--save")
    assert listens(vz, 7001) and listens(vz, 7002) and not listens(vz, 7003)
    before = refused(vz)
    vz.ctl("chkpnt", "101")
    vz.ctl("set", "101", "--numtcpsock", "1", "--save")
    vz.ctl("restore", "101")
    assert figures(vz, "numtcpsock") == ["2"] and refused(vz) == before > 0
    assert not listens(vz, 7003)
    vz.ctl("exec2", "101", "killall nc")
    machine.until("there is room", lambda: figures(vz, "numtcpsock") == ["0"])
    assert listens(vz, 7001) and not listens(vz, 7002)
    assert refused(vz) == 3 * before


def test_nothing_is_limited_when_a_part_cannot_be(vz: Vz) -> None:
    """All that one command sets, or nothing of it."""
    vz.start(101)
    vz.ctl("exec2", "101", "mount -t tmpfs none /dev/pts")
    said = vz.ctl("set", "101", "--numtcpsock", "0", "--numpty", "5", "--save", check=None)
    assert said.code != 0 and "NUMPTY" in said.stderr
    assert listens(vz, 7001) and figures(vz, "numtcpsock.f") == ["0"]


def files(vz: Vz) -> list[str]:
    """Soft and hard limit of what PID 1 starts."""
    return vz.ctl("exec2", "101", "ulimit -Sn; ulimit -Hn").stdout.split()


def test_open_files_of_each_process(vz: Vz) -> None:
    vz.create(101)
    vz.ctl("set", "101", "--numfile", "3000", "--save")
    vz.ctl("start", "101")
    assert files(vz) == ["1024", "3000"]
    vz.ctl("set", "101", "--numfile", "200", "--save")
    assert files(vz) == ["200", "200"]
    reboot(vz)
    assert files(vz) == ["200", "200"]
    said = vz.ctl("set", "101", "--numfile", "unlimited", check=None)
    assert (said.code == 0) == probes.sys_resource()
    assert files(vz)[0] == ("1024" if probes.sys_resource() else "200")
    vz.ctl("set", "101", "--numfile", "0", "--save", check=None)
    vz.ctl("restart", "101")
    assert files(vz) == ["128", "128"] and vz.answers(101)
