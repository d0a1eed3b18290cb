"""INIT=vz on images that are OpenRC's and runit's: their services run, and their own tools do what their users expect.

The judge is the image's own init: what can be compared is given to a container under that as well.
"""

import re

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS

pytestmark = [pytest.mark.system, pytest.mark.userland, pytest.mark.slow]

OPENRC, RUNIT = "debian-12-openrc", "debian-12-runit"
DOWN = "exist unmounted down"
OURS, THEIRS = 101, 102
SCRIPT = """\
cat >/etc/init.d/{name} <<'E'
#!/bin/sh
### BEGIN INIT INFO
# Provides: {name}
# Required-Start: $remote_fs
# Required-Stop: $remote_fs
# Default-Start: {level}
# Default-Stop: 0 6
### END INIT INFO
echo "{name} $1" >>/log
exit {code}
E
chmod 755 /etc/init.d/{name}
update-rc.d {name} defaults
"""
# A service of the owner's, one that cannot be started, in the place of Debian's clock script one that tells; and one as
# OpenRC likes it.
PREPARE_OPENRC = "".join((
    SCRIPT.format(name="witness", level=2, code=0),
    SCRIPT.format(name="bad", level=2, code=1),
    SCRIPT.format(name="hwclock.sh", level="S", code=0),
    "printf '#!/sbin/openrc-run\\ncommand=/bin/sleep\\ncommand_args=1000\\n' >/etc/init.d/native\n",
    "printf 'command_background=yes\\npidfile=/run/native.pid\\n' >>/etc/init.d/native\n",
    "chmod 755 /etc/init.d/native; rc-update add native default\n",
))  # fmt: skip
# It writes when it starts, and when it has ended; and another one that is not linked yet.
PREPARE_RUNIT = """\
mkdir /etc/sv/witness /etc/sv/later
printf '#!/bin/sh\\necho witness start >>/log\\nexec sleep 1000\\n' >/etc/sv/witness/run
printf '#!/bin/sh\\necho witness stop >>/log\\n' >/etc/sv/witness/finish
printf '#!/bin/sh\\nexec sleep 1001\\n' >/etc/sv/later/run
chmod 755 /etc/sv/witness/* /etc/sv/later/*
ln -s /etc/sv/witness /etc/service/
"""
PREPARE = {OPENRC: PREPARE_OPENRC, RUNIT: PREPARE_RUNIT}


def inside(vz: Vz, command: str, ctid: int = OURS, check: int | None = 0) -> str:
    return vz.ctl("exec2", str(ctid), command, check=check).stdout


def answers(vz: Vz, command: str, ctid: int = OURS) -> bool:
    return vz.ctl("exec2", str(ctid), command, check=None).code == 0


def script(vz: Vz, text: str) -> str:
    """A file for `runscript`."""
    path = f"{vz.prefix}/script"
    with open(path, "w") as file:
        file.write(f"#!/bin/sh\n{text}\n")
    return path


def boot(vz: Vz, image: str, ctid: int = OURS, init: str = "vz") -> None:
    """Start a container with what PREPARE puts into it."""
    vz.create(ctid, "--init", init, "--ipadd", f"192.0.2.{ctid}", template=image)
    vz.ctl("runscript", str(ctid), script(vz, PREPARE[image]))
    vz.ctl("start", str(ctid), "--wait")


def listening(vz: Vz) -> None:
    machine.until("sshd listens", lambda: answers(vz, "bash -c '</dev/tcp/127.0.0.1/22' 2>&1"))


def log_after_stop(vz: Vz) -> list[str]:
    return vz.ctl("runscript", str(OURS), script(vz, "cat /log")).stdout.splitlines()


@pytest.mark.parametrize("image", [OPENRC, RUNIT])
def test_a_whole_life(vz: Vz, image: str) -> None:
    """Services are up, every way down stops them in order, and none has to be killed."""
    boot(vz, image)
    assert inside(vz, "readlink /proc/1/exe").endswith("vzinit\n")
    listening(vz)
    machine.until("cron runs", lambda: answers(vz, "pidof cron"))
    for number, command in enumerate(("reboot", "init 6", "shutdown -r now"), 1):
        clock = vz.uptime_clock(OURS)
        inside(vz, command, check=None)
        vz.wait_reboot(OURS, clock)
        witness(vz, number + 1)
        assert inside(vz, "grep -c 'witness stop' /log") == f"{number}\n", f"{command} was not orderly"
    inside(vz, "poweroff", check=None)
    vz.wait_status(OURS, DOWN)
    vz.ctl("start", str(OURS), "--wait")
    witness(vz, 5)
    assert "Killing" not in vz.ctl("stop", str(OURS)).stdout
    assert log_after_stop(vz).count("witness stop") == 5


def witness(vz: Vz, starts: int) -> None:
    machine.until("the witness", lambda: inside(vz, "cat /log").count("witness start") == starts)


def rc_local(vz: Vz, ctid: int) -> None:
    """The last of what Debian starts."""
    done = "[ $(rc-status -f ini | grep -c -E '^(rc.local|native) = +started') = 2 ]"
    machine.until("the last service", lambda: answers(vz, done, ctid))


def test_openrc(vz: Vz) -> None:
    """rc-status, rc-service and rc-update; what is the host's work was neither started nor stopped."""
    boot(vz, OPENRC)
    boot(vz, OPENRC, THEIRS, "handoff")
    for ctid in (OURS, THEIRS):
        rc_local(vz, ctid)
    assert inside(vz, "rc-status") == inside(vz, "rc-status", THEIRS)
    before = inside(vz, "cat /run/crond.pid")
    inside(vz, "rc-service cron restart")
    assert inside(vz, "cat /run/crond.pid") != before
    inside(vz, "rc-service native stop; rc-update del bad default")
    assert "native =  stopped" in inside(vz, "rc-status -f ini")
    inside(vz, "openrc")
    assert "native =  started" in inside(vz, "rc-status -f ini"), "`openrc` starts what the runlevel lacks"
    assert "bad" not in inside(vz, "rc-status")
    assert answers(vz, "kill -0 $(cat /run/native.pid)")
    assert "hwclock.sh" not in inside(vz, "cat /log")
    assert "hwclock.sh start" in inside(vz, "cat /log", THEIRS)
    inside(vz, "openrc-shutdown --poweroff now", check=None)
    vz.wait_status(OURS, DOWN)
    log = log_after_stop(vz)
    assert "witness stop" in log
    assert not [line for line in log if line.startswith("hwclock")]


def test_what_openrc_cannot_start_is_told(vz: Vz) -> None:
    boot(vz, OPENRC)
    machine.until("it is told", lambda: "services that failed: bad\n" in machine.read(vz.paths.log_file))


def test_runit(vz: Vz) -> None:
    """sv, and services that come and go with their links."""
    boot(vz, RUNIT)
    machine.until("sshd is supervised", lambda: pid(vz, "ssh"))
    before = pid(vz, "ssh")
    inside(vz, f"kill -9 {before}")
    machine.until("sshd came back", lambda: pid(vz, "ssh") not in ("", before))
    listening(vz)
    assert "ok: down" in inside(vz, "sv stop witness")
    assert "ok: run" in inside(vz, "sv start witness")
    inside(vz, "ln -s /etc/sv/later /etc/service/")
    machine.until("the new service", lambda: pid(vz, "later"))
    inside(vz, "rm /etc/service/later")
    machine.until("its end", lambda: not answers(vz, "pgrep -x -f 'sleep 1001'"))
    inside(vz, "kill -9 $(pgrep -x -f 'runsv ssh'); kill $(cat /run/sshd.pid)")
    machine.until("a new supervisor", lambda: pid(vz, "ssh"))
    inside(vz, "kill -CONT 1")
    assert vz.answers(OURS), "nobody asked for a way down"
    vz.ctl("stop", str(OURS))
    assert log_after_stop(vz) == ["witness start", "witness stop"] * 2


def pid(vz: Vz, service: str) -> str:
    found = re.match(rf"run: {service}: \(pid (\d+)\)", inside(vz, f"sv status {service}", check=None))
    return found[1] if found else ""


@pytest.mark.parametrize("image", [OPENRC, RUNIT])
def test_one_prompt(vz: Vz, image: str) -> None:
    """Consoles have theirs when somebody looks, and no getty runs before."""
    boot(vz, image)
    listening(vz)
    assert not answers(vz, "pgrep getty")
    for number in ("1", "3"):
        console = vz.spawn("vzctl", "console", str(OURS), number)
        console.send("\r")
        console.expect("login: ")
        console.send("\r\x1b.")
        console.expect("Detached")
    assert inside(vz, "pgrep -c getty") == "2\n"


@CHECKPOINTS
@pytest.mark.parametrize("image", [OPENRC, RUNIT])
def test_services_go_on_after_a_restore(vz: Vz, image: str) -> None:
    """The same processes: nothing takes the container for another machine."""
    boot(vz, image)
    listening(vz)
    machine.until("cron runs", lambda: answers(vz, "pidof cron"))
    before = inside(vz, "cat /run/sshd.pid; pgrep runsv", check=None)
    for _ in range(2):
        vz.ctl("chkpnt", str(OURS))
        vz.ctl("restore", str(OURS))
        inside(vz, "sleep 7")  # longer than a look at the directory of runit's services takes to come
        assert inside(vz, "cat /run/sshd.pid; pgrep runsv", check=None) == before
    vz.ctl("stop", str(OURS))
    assert log_after_stop(vz)[-1] == "witness stop"
