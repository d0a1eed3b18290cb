"""The image's own systemctl, journalctl, service and dpkg where vzinit runs the services (INIT=vz).

The judge is systemd: what can be compared is given to a container of the same image under its own systemd as well, and
must come out the same.
"""

import re
from functools import partial

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS

pytestmark = [pytest.mark.system, pytest.mark.userland, pytest.mark.slow]

OURS, THEIRS = "101", "102"
IMAGES = ("debian-12", "debian-13")
SLEEPS = "[Service]\nExecStart=/bin/sleep {}\n"
UNITS = {
    "bad": "[Unit]\nDescription=It fails\n[Service]\nExecStart=/bin/false\n",
    "bad-start": "[Service]\nType=oneshot\nExecStart=/bin/false\n",
    "once": "[Unit]\nDescription=It ends\n[Service]\nType=oneshot\nExecStart=/bin/echo one line\n",
    "new": f"{SLEEPS.format(1000)}ExecReload=/bin/touch /reloaded\n[Install]\nWantedBy=multi-user.target\n",
    "needs": f"[Unit]\nRequires=new.service\nAfter=new.service\n{SLEEPS.format(1001)}",
    "orphan": f"[Unit]\nRequires=bad-start.service\nAfter=bad-start.service\n{SLEEPS.format(1002)}",
    "fails-again": "[Service]\nType=notify\nExecStart=/bin/false\nRestart=always\nRestartSec=5\n",
    "again": f"{SLEEPS.format(1003)}Restart=always\nRestartSec=100ms\n",
    "remains": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\nExecStop=/bin/touch /stopped\n",
    "not-here": f"[Unit]\nConditionPathExists=/no/such/path\n{SLEEPS.format(1005)}",
    "wants-it": f"[Unit]\nWants=not-here.service\nAfter=not-here.service\n{SLEEPS.format(1006)}",
    "wishes": f"[Unit]\nWants=new.service\n{SLEEPS.format(1007)}",
    "again-starts": "[Service]\nType=oneshot\nExecStart=/bin/false\nRestart=on-failure\nRestartSec=20\n",
    "wants-again": f"[Unit]\nRequires=again-starts.service\nAfter=again-starts.service\n{SLEEPS.format(1008)}",
    "gone": f"[Unit]\nConditionPathExists=!/gone\n{SLEEPS.format(1010)}",
    "with-gone": f"[Unit]\nRequires=gone.service\nAfter=gone.service\nConditionPathExists=!/with-gone\n"
    f"{SLEEPS.format(1011)}",
    "marks": "[Unit]\nConditionPathExists=!/run/mark\n[Service]\nType=oneshot\nRemainAfterExit=True\n"
    "ExecStart=/bin/touch /run/mark\nExecStop=/bin/rm /run/mark\nExecStopPost=/bin/touch /marked\n",
    "forks": "[Service]\nType=forking\nExecStart=/bin/sh -c 'sleep 1009 & sleep 1009 & sleep 0.2'\n",
    "forks-none": "[Service]\nType=forking\nExecStart=/bin/true\n",
    "soon": "[Service]\nType=oneshot\nExecStart=/bin/touch /soon\n",
    "shape@": SLEEPS.format(1004),
}
SOON = "[Timer]\nOnActiveSec=3\nAccuracySec=100ms\n"
UNTIL_DOWN = "while systemctl is-active {0} | grep -Eq '^(de)?activ'; do sleep 0.1; done; systemctl is-active {0}"
# Given one after the other to both: exit code and what is printed must be the same.
SAME = (
    "systemctl is-active ssh cron nonsense",
    "systemctl is-enabled ssh cron",
    "systemctl is-enabled -l cron",
    "systemctl is-enabled nonsense",
    "systemctl is-failed ssh",
    "systemctl show -p ActiveState -p SubState -p LoadState -p UnitFileState -p Type -p KillMode -p Id ssh cron",
    "systemctl show -P ActiveState nonsense",
    "systemctl cat cron",
    "systemctl list-unit-files --no-legend ssh.service cron.service new.service shape@.service",
    "systemctl list-units --no-legend --plain ssh.service cron.service",
    "systemctl stop cron; systemctl is-active cron; systemctl start cron; systemctl is-active cron",
    "systemctl restart ssh; systemctl is-active ssh",
    "systemctl try-restart bad; systemctl is-active bad",
    "systemctl reload cron",
    "systemctl start nonsense",
    "systemctl stop nonsense",
    "systemctl status nonsense",
    "systemctl enable new; systemctl is-enabled new; systemctl is-active new",
    "systemctl start new; systemctl reload new; ls /reloaded; systemctl reload-or-restart new; systemctl is-active new",
    "systemctl disable --now new; systemctl is-enabled new; systemctl is-active new",
    "systemctl reload new",
    "systemctl mask cron; systemctl is-enabled cron; systemctl start cron; systemctl unmask cron",
    "systemctl is-enabled cron; systemctl is-active cron",
    "systemctl enable nonsense",
    "systemctl start bad-start; systemctl is-failed bad-start; systemctl is-active bad-start",
    "systemctl --failed --no-legend --plain",
    "systemctl start fails-again; systemctl is-active fails-again; systemctl stop fails-again",
    "systemctl restart apt-daily.timer; systemctl is-active apt-daily.timer",
    "echo '<4>hi' | systemd-cat -t tagged; systemd-cat -t tagged -p err echo plain; "
    "until journalctl -q -t tagged | grep -q plain; do sleep 0.1; done; "
    "journalctl -q -o cat -t tagged; journalctl -q -o cat -t tagged -p err",
    "systemctl start soon.timer; sleep 1; ls /soon; until rm /soon 2>/dev/null; do sleep 0.1; done",
    "systemctl start soon.timer; sleep 4; ls /soon; systemctl restart soon.timer",
    "until test -e /soon; do sleep 0.1; done; systemctl stop soon.timer",
    "systemctl try-restart soon.timer; systemctl is-active soon.timer",
    "systemctl reset-failed bad-start; systemctl is-failed bad-start",
    "systemctl start once; systemctl is-active once; journalctl -o cat -u once | grep 'one line'",
    "systemctl start needs; systemctl is-active needs new; systemctl stop new; systemctl is-active needs new",
    "systemctl start orphan; systemctl is-active orphan; systemctl reset-failed",
    "systemctl stop new; systemctl restart needs; systemctl is-active needs new; systemctl stop new",
    "systemctl start wishes; systemctl stop new; systemctl restart wishes; systemctl is-active wishes new",
    "systemctl stop wishes new; systemctl try-restart wishes; systemctl is-active wishes new",
    "systemctl restart orphan; systemctl is-active orphan; systemctl reset-failed",
    "systemctl start wants-again; systemctl is-active wants-again again-starts; systemctl stop again-starts",
    "systemctl start remains; systemctl is-active remains; systemctl stop remains; ls /stopped",
    "systemctl start not-here; systemctl is-active not-here",
    "systemctl restart not-here; systemctl is-active not-here",
    "systemctl start wants-it; systemctl is-active not-here wants-it",
    "systemctl restart wants-it; systemctl is-active not-here wants-it; systemctl stop wants-it",
    "systemctl start gone; touch /gone; systemctl restart gone; echo $?; systemctl is-active gone; rm /gone",
    "systemctl start with-gone; touch /gone; systemctl restart gone; echo $?",
    "sleep 0.5; systemctl is-active gone with-gone",
    "systemctl restart with-gone; systemctl is-active gone with-gone; rm /gone",
    "systemctl start with-gone; touch /with-gone; systemctl restart gone; systemctl is-active gone with-gone",
    "rm /with-gone; touch /gone; systemctl try-restart gone; systemctl is-active gone; rm /gone",
    "systemctl start marks; systemctl restart marks; systemctl is-active marks; ls /run/mark /marked",
    "rm /marked; systemctl --no-block restart marks",
    "until test -e /marked && systemctl -q is-active marks; do sleep 0.1; done",
    "ls /run/mark; systemctl stop marks; systemctl is-active marks",
    "systemctl start forks; systemctl show -P MainPID forks; pkill -o -f '[s]leep 1009'; systemctl is-active forks",
    f"pkill -f '[s]leep 1009'; {UNTIL_DOWN.format('forks')}; systemctl show -P Result forks",
    f"systemctl start forks-none; {UNTIL_DOWN.format('forks-none')}; systemctl show -P Result forks-none",
    "systemctl start shape@round; systemctl is-active shape@round; systemctl stop 'shape@round'",
    "systemctl start again; systemctl kill -s KILL again; sleep 1; systemctl is-active again; systemctl stop again",
    f"systemctl kill cron; {UNTIL_DOWN.format('cron')}; systemctl start cron",
    "systemctl is-system-running",
    "systemctl daemon-reload",
    "service cron restart; service cron status >/dev/null",
    "/etc/init.d/cron stop; systemctl is-active cron; /etc/init.d/cron start; systemctl is-active cron",
    "invoke-rc.d cron restart; systemctl is-active cron",
    "deb-systemd-invoke restart cron.service; systemctl is-active cron",
    "systemctl is-active multi-user.target basic.target sysinit.target",
    "systemctl get-default",
)
# The first lines of `status`, with what differs from run to run taken out.
STATUS = ("cron", "bad", "once", "remains", "new")
DIFFERS = (
    (re.compile(r"since .*? ago"), "since"),
    (re.compile(r"\b(PID|Process): \d+"), r"\1"),
    (re.compile(r"\d+ \(limit.*"), ""),
    (re.compile(r"/usr/lib/systemd"), "/lib/systemd"),  # one directory; which name it has is systemd's version
    (re.compile(r"Unit (file )?(\S+) does not exist\.?"), r"Unit \2 does not exist"),
    (re.compile(r"\n# /run/systemd/system/service\.d/10-vz\.conf\n(.+\n)*"), ""),  # of the handoff
    (re.compile(r"graphical\.target"), "multi-user.target"),  # the default of an image that was not configured
)


def shell(vz: Vz, ctid: str, command: str) -> tuple[int, str]:
    done = vz.ctl("exec2", ctid, f"export LC_ALL=C SYSTEMD_PAGER=; {{ {command}; }} 2>&1", check=None)
    text = done.stdout
    for pattern, instead in DIFFERS:
        text = pattern.sub(instead, text)
    return done.code, text


def give(vz: Vz, ctid: str, units: dict[str, str]) -> None:
    """Unit files of the owner's."""
    for name, text in units.items():
        vz.ctl("exec2", ctid, f"cat >/etc/systemd/system/{name}", input=text)
    vz.ctl("exec2", ctid, "systemctl daemon-reload")


def inside(vz: Vz, command: str) -> str:
    return vz.ctl("exec2", OURS, command).stdout


def both(vz: Vz, image: str) -> None:
    """OURS under vzinit, THEIRS under the image's systemd, both up and with UNITS."""
    vz.start(int(OURS), template=image)
    vz.start(int(THEIRS), "--init", "handoff", template=image)
    for ctid in (OURS, THEIRS):
        machine.until("up", partial(is_up, vz, ctid))
        give(vz, ctid, {f"{name}.service": text for name, text in UNITS.items()} | {"soon.timer": SOON})


def is_up(vz: Vz, ctid: str) -> bool:
    return shell(vz, ctid, "systemctl is-system-running")[1] == "running\n"


@pytest.mark.parametrize("image", IMAGES)
def test_as_under_systemd(vz: Vz, image: str) -> None:
    both(vz, image)
    found = {command: (shell(vz, OURS, command), shell(vz, THEIRS, command)) for command in SAME}
    different = {command: pair for command, pair in found.items() if pair[0] != pair[1]}
    assert not different, "\n".join(f"{command}\n ours: {a}\n theirs: {b}" for command, (a, b) in different.items())


@pytest.mark.parametrize("image", IMAGES)
def test_status_as_under_systemd(vz: Vz, image: str) -> None:
    """Name, Loaded, Active; and its exit code."""
    both(vz, image)
    for ctid in (OURS, THEIRS):
        has_failed = "until systemctl -q is-failed bad; do sleep 0.1; done"
        vz.ctl("exec", ctid, f"systemctl start once remains; systemctl start bad; {has_failed}")
    for name in STATUS:
        pair = []
        for ctid in (OURS, THEIRS):
            code, text = shell(vz, ctid, f"systemctl status {name}")
            lines = [line for line in text.splitlines() if "Drop-In" not in line and "10-vz.conf" not in line]
            pair.append((code, [line for line in lines if "/run/systemd/system/service.d" not in line][:3]))
        assert pair[0] == pair[1]


def test_a_timer(vz: Vz) -> None:
    vz.start(int(OURS), template="debian-12")
    give(vz, OURS, {
        "t.timer": "[Timer]\nOnCalendar=*:*:*\n[Install]\nWantedBy=timers.target\n",
        "t.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo x >>/t'\n",
    })  # fmt: skip
    inside(vz, "systemctl enable --now t.timer")
    machine.until("it went off twice", lambda: inside(vz, "cat /t 2>/dev/null; true").count("x") >= 2)
    assert "t.timer" in inside(vz, "systemctl list-timers --no-legend")
    inside(vz, "systemctl stop t.timer")
    assert vz.ctl("exec2", OURS, "systemctl is-active t.timer", check=3).stdout == "inactive\n"
    still = "cp /t /before; sleep 2.5; cmp -s /t /before"
    machine.until("it goes off no more", lambda: vz.ctl("exec2", OURS, still, check=None).code == 0, pause=1)
    for name in ("apt-daily.timer", "dpkg-db-backup.timer", "systemd-tmpfiles-clean.timer"):
        assert inside(vz, f"systemctl is-active {name}") == "active\n"


ECHO = r"""/usr/bin/perl -e 'open(S, "+<&=3"); while (accept(C, S)) { print C "$ENV{LISTEN_FDNAMES}\n"; close C }'"""


def test_a_socket(vz: Vz) -> None:
    """The service of a socket unit is up from the start, and has the socket as descriptor 3."""
    vz.start(int(OURS), template="debian-12")
    give(vz, OURS, {
        "hi.socket": "[Socket]\nListenStream=127.0.0.1:700\nFileDescriptorName=hello\n"
                     "[Install]\nWantedBy=sockets.target\n",
        "hi.service": f"[Service]\nExecStart={ECHO.replace('$', '$$')}\nExecReload=/bin/true\n",
    })  # fmt: skip
    inside(vz, "systemctl enable hi.socket")
    vz.ctl("restart", OURS, "--wait")
    for verb in ("is-active", "reload", "restart"):  # only the main process gets the socket, each time
        inside(vz, f"systemctl {verb} hi.service")
        assert inside(vz, "bash -c 'exec 3<>/dev/tcp/127.0.0.1/700; cat <&3'") == "hello\n"
    inside(vz, "systemctl restart hi.socket")
    assert inside(vz, "systemctl is-active hi.socket hi.service") == "active\nactive\n"


@pytest.mark.parametrize(("command", "starts_again"), [("systemctl reboot", True), ("systemctl poweroff", False)])
def test_ways_down(vz: Vz, command: str, starts_again: bool) -> None:
    vz.start(int(OURS), template="debian-13")
    clock = vz.uptime_clock(101)
    vz.ctl("exec", OURS, command, check=None)
    if starts_again:
        vz.wait_reboot(101, clock)
    else:
        vz.wait_status(101, "exist unmounted down")


def test_rescue_leaves_the_console(vz: Vz) -> None:
    """Who isolates it has stopped the services, sshd too, and still gets in: with a login, and root's password."""
    vz.start(int(OURS), template="debian-12")
    vz.ctl("set", OURS, "--userpasswd", "root:s3cret")
    for target in ("rescue", "emergency"):
        inside(vz, f"systemctl start ssh && systemctl isolate {target}.target")
        assert shell(vz, OURS, "systemctl is-active ssh cron")[1] == "inactive\ninactive\n"
        console = vz.spawn("vzctl", "console", OURS)
        console.expect("to detach")
        console.send("\r")
        console.expect("login: ")
        console.sendline("root")
        console.expect("assword: ")
        console.sendline("s3cret")
        console.expect(r"# (\x1b\[6n)?$")
        console.sendline("exit")
        console.expect("login: ")
        console.close()


SIZE = "du -sc /run/log/journal /var/log/journal 2>/dev/null | tail -n 1 | cut -f1"


def test_the_log_of_a_service(vz: Vz) -> None:
    """Its output, syslog of its processes, and what PID 1 says of it; bounded however much that is."""
    vz.start(int(OURS), template="debian-12")
    give(vz, OURS, {
        "talks.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo out; echo err >&2; logger -t tag sys'\n",
        "floods.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'yes 0123456789abcdef | head -c 40000000'\n",
    })  # fmt: skip
    inside(vz, "systemctl start talks")
    # Of whom a message of syslog is, nobody can tell once its process is gone: journald cannot, either.
    machine.until("it is logged", lambda: "sys" in inside(vz, "journalctl -o cat").splitlines())
    assert {"out", "err"} <= set(inside(vz, "journalctl -u talks -o cat").splitlines())
    inside(vz, "systemctl start floods; sleep 0.5")
    assert int(inside(vz, SIZE)) < 10 << 10
    assert inside(vz, "journalctl --verify >/dev/null 2>&1 && echo whole") == "whole\n"
    assert "Server listening" in inside(vz, "journalctl -u ssh -o cat")


CONNECT = 'use IO::Socket::UNIX; $s = IO::Socket::UNIX->new(Peer => "/run/systemd/private") or die; sleep 1000'
STAYS = f"setsid perl -e '{CONNECT}' >/dev/null 2>&1 </dev/null &"


@CHECKPOINTS
def test_a_client_that_stays_spoils_no_checkpoint(vz: Vz) -> None:
    vz.start(int(OURS), template="debian-12")
    machine.until("systemctl is answered", lambda: shell(vz, OURS, "systemctl is-active ssh")[0] == 0)
    inside(vz, STAYS)
    vz.ctl("chkpnt", OURS)
    vz.ctl("restore", OURS)
    assert inside(vz, "systemctl is-active ssh") == "active\n"
