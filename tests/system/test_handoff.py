"""INIT=handoff on real images: systemd, sysvinit, OpenRC, runit and busybox are PID 1, and vzctl does what it always
does.
"""

import os

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS

pytestmark = [pytest.mark.system, pytest.mark.slow]

DOWN = "exist unmounted down"
# How the owner of an image has a line written on an orderly way down: proof that it was asked, and not killed.
WITNESS_UNIT = """\
mkdir -p /etc/systemd/system/multi-user.target.wants
cat >/etc/systemd/system/witness.service <<'E'
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/bin/sh -c 'echo down >>/witness'
E
ln -sf ../witness.service /etc/systemd/system/multi-user.target.wants/
"""
WITNESS_SCRIPT = """\
cat >/etc/init.d/witness <<'E'
#!/bin/sh
### BEGIN INIT INFO
# Provides: witness
# Required-Start: $remote_fs
# Required-Stop: $remote_fs
# Default-Start: 2
# Default-Stop: 0 6
### END INIT INFO
[ "$1" != stop ] || echo down >>/witness
E
chmod 755 /etc/init.d/witness
update-rc.d witness defaults
"""
WITNESS_SERVICE = """\
mkdir /etc/sv/witness
printf '#!/bin/sh\nexec sleep 1000\n' >/etc/sv/witness/run
printf '#!/bin/sh\necho down >>/witness\n' >/etc/sv/witness/finish
chmod 755 /etc/sv/witness/*
ln -s /etc/sv/witness /etc/service/
"""
WITNESS_INITTAB = """echo '::shutdown:/bin/sh -c "echo down >>/witness"' >>/etc/inittab"""
IMAGES = {
    "busybox": ("busybox", WITNESS_INITTAB),
    "debian-12": ("systemd", WITNESS_UNIT),
    "debian-13": ("systemd", WITNESS_UNIT),
    "debian-sid": ("systemd", WITNESS_UNIT),
    "debian-12-sysvinit": ("init", WITNESS_SCRIPT),
    "debian-13-sysvinit": ("init", WITNESS_SCRIPT),
    "debian-12-openrc": ("init", WITNESS_SCRIPT),
    "debian-12-runit": ("runit", WITNESS_SERVICE),
}
SYSTEMD = ("debian-12", "debian-13", "debian-sid")
RUNLEVEL = "rc-status -f ini default"


def inside(vz: Vz, command: str, check: int | None = 0) -> str:
    return vz.ctl("exec2", "101", command, check=check).stdout


def init(vz: Vz) -> str:
    return os.path.basename(inside(vz, "readlink /proc/1/exe").strip())


def script(vz: Vz, text: str) -> str:
    """A file for `runscript`."""
    path = f"{vz.prefix}/script"
    with open(path, "w") as file:
        file.write(f"#!/bin/sh\n{text}\n")
    return path


def up(vz: Vz) -> None:
    """Wait until the init has started everything; of systemd's units none has failed."""
    if init(vz) == "init":
        machine.until("runlevel 2", lambda: inside(vz, "runlevel", check=None).endswith("2\n"))
    if init(vz) == "runit":
        machine.until("runit's services", lambda: "run: witness" in inside(vz, "sv status witness", check=None))
    if init(vz) == "systemd":
        machine.until("systemd is up", lambda: state(vz) in ("running", "degraded"))
        assert state(vz) == "running", inside(vz, "systemctl --failed", check=None)


def state(vz: Vz) -> str:
    return inside(vz, "systemctl is-system-running", check=None).strip()


def cgroup_of(vz: Vz, unit: str) -> str:
    pid = inside(vz, f"systemctl show -P MainPID {unit}").strip()
    return inside(vz, f"cat /proc/{pid}/cgroup").splitlines()[-1].rpartition(":")[2]


@pytest.mark.parametrize("image", IMAGES)
def test_a_whole_life(vz: Vz, image: str) -> None:
    name, witness = IMAGES[image]
    vz.create(101, "--init", "handoff", "--ipadd", "192.0.2.1", "--hostname", "ship", template=image)
    vz.ctl("runscript", "101", script(vz, witness))
    vz.ctl("start", "101", "--wait")
    assert init(vz) == name
    vz.ping("192.0.2.1")
    if image != "busybox":
        listens = "bash -c '</dev/tcp/127.0.0.1/22' 2>&1"
        machine.until("sshd listens", lambda: vz.ctl("exec2", "101", listens, check=None).code == 0)
    assert inside(vz, "cat /proc/sys/kernel/hostname") == "ship\n"
    assert vz.ctl("exec2", "101", "exit 7", check=7).stdout == ""
    up(vz)
    clock = vz.uptime_clock(101)
    vz.ctl("exec", "101", "reboot", check=None)
    vz.wait_reboot(101, clock)
    assert inside(vz, "cat /witness") == "down\n", "the reboot was not orderly"
    up(vz)
    clock = vz.uptime_clock(101)
    vz.kill_both()
    assert inside(vz, "echo alive") == "alive\n", "the agent was not found again"
    assert vz.uptime_clock(101) == clock
    vz.ctl("set", "101", "--hostname", "boat", "--ipadd", "192.0.2.9", "--save")
    assert inside(vz, "cat /proc/sys/kernel/hostname") == "boat\n"
    vz.ping("192.0.2.9")
    vz.ctl("stop", "101")
    assert vz.status(101) == DOWN
    assert vz.ctl("runscript", "101", script(vz, "cat /witness")).stdout.endswith("down\ndown\n"), "killed"


@pytest.mark.parametrize("image", SYSTEMD)
def test_systemd_has_all_it_wants(vz: Vz, image: str) -> None:
    vz.start(101, "--init", "handoff", template=image)
    up(vz)
    assert cgroup_of(vz, "ssh") == "/system.slice/ssh.service"
    inside(vz, "systemctl restart cron")
    assert inside(vz, "systemctl is-active cron ssh") == "active\nactive\n"
    assert "Server listening" in inside(vz, "journalctl --no-pager -u ssh")
    assert inside(vz, "systemd-detect-virt --container") == "container-other\n"
    console = vz.spawn("vzctl", "console", "101")
    console.send("\r")
    console.expect("login: ")
    console.send("\r\x1b.")
    console.expect("Detached")
    shell = vz.spawn("vzctl", "enter", "101")
    shell.sendline("systemctl is-active cron; tty; exit")
    shell.expect(r"active\s+/dev/pts/\d")
    vz.ctl("exec", "101", "systemctl poweroff", check=None)
    vz.wait_status(101, DOWN)


@CHECKPOINTS
@pytest.mark.parametrize("image", SYSTEMD)
def test_systemd_is_frozen_and_comes_back(vz: Vz, image: str) -> None:
    """Twice: with its services in their cgroups, watched as before, and nothing that spins."""
    vz.start(101, "--init", "handoff", "--ipadd", "192.0.2.1", template=image)
    up(vz)
    for _ in range(2):
        machine.until("no service is about to be executed", lambda: executors(vz) == [])
        before = inside(vz, "systemctl show -P MainPID ssh cron")
        vz.ctl("chkpnt", "101")
        assert vz.status(101) == f"{DOWN} suspended"
        vz.ctl("restore", "101")
        assert state(vz) == "running"
        assert inside(vz, "systemctl show -P MainPID ssh cron") == before
        assert cgroup_of(vz, "ssh") == "/system.slice/ssh.service"
        inside(vz, "kill $(systemctl show -P MainPID ssh); systemctl restart cron")
        machine.until("the end of sshd is noticed", lambda: inside(vz, "systemctl is-active ssh", None) != "active\n")
        inside(vz, "systemctl start ssh; logger ahoy")
        machine.until("it is in the journal", lambda: "ahoy" in inside(vz, "journalctl --no-pager -n 20"))
        vz.ping("192.0.2.1")
    assert busy(vz) < 0.5, "something spins"
    vz.ctl("stop", "101")


def executors(vz: Vz) -> list[str]:
    """Processes of systemd that will be a service; the login prompt of its console waits some seconds as one."""
    return inside(vz, "ls -l /proc/*/exe 2>/dev/null | grep systemd-executor", check=None).splitlines()


@CHECKPOINTS
def test_a_service_that_is_about_to_start_is_waited_for(vz: Vz) -> None:
    """CRIU would dump it, end the container, and could not restore it."""
    vz.start(101, "--init", "handoff", template="debian-sid")
    machine.until("the login prompt waits", lambda: executors(vz) != [])
    refused = vz.ctl("chkpnt", "101", check=16)
    assert "is a service that systemd is about to start" in refused.stderr
    up(vz)
    machine.until("it has started", lambda: executors(vz) == [])
    vz.ctl("chkpnt", "101")
    vz.ctl("restore", "101")
    up(vz)


def busy(vz: Vz) -> float:
    """Processors that PID 1 and the journal use while nothing happens."""

    def used() -> int:
        lines = inside(vz, "cat /proc/1/stat /proc/$(pidof systemd-journald)/stat").splitlines()
        return sum(int(field) for line in lines for field in line.rpartition(")")[2].split()[11:13])

    before = used()
    inside(vz, "sleep 2")
    return (used() - before) / os.sysconf("SC_CLK_TCK") / 2


def test_openrc_init(vz: Vz) -> None:
    """OpenRC without sysvinit: it has commands of its own.  OpenRC knows that this is a container."""
    vz.create(101, "--init", "handoff", template="debian-12-openrc")
    vz.ctl("runscript", "101", script(vz, f"ln -sf openrc-init /sbin/init\n{WITNESS_SCRIPT}"))
    vz.ctl("start", "101", "--wait")
    assert init(vz) == "openrc-init"
    machine.until("the default runlevel", lambda: "witness =  started" in inside(vz, RUNLEVEL, None))
    assert inside(vz, "openrc --sys") == "SYSTEMD-NSPAWN\n"
    assert inside(vz, "grep -c ' cgroup ' /proc/mounts", check=1) == "0\n"
    clock = vz.uptime_clock(101)
    vz.ctl("exec", "101", "openrc-shutdown --reboot now", check=None)
    vz.wait_reboot(101, clock)
    machine.until("the default runlevel", lambda: "witness =  started" in inside(vz, RUNLEVEL, None))
    vz.ctl("stop", "101")
    assert vz.ctl("runscript", "101", script(vz, "cat /witness")).stdout.endswith("down\ndown\n"), "killed"


@CHECKPOINTS
def test_openrc_is_frozen_and_comes_back(vz: Vz) -> None:
    vz.start(101, "--init", "handoff", template="debian-12-openrc")
    machine.until("the default runlevel", lambda: "rc.local =  started" in inside(vz, RUNLEVEL, None))
    before = inside(vz, "cat /run/sshd.pid /run/crond.pid")
    vz.ctl("chkpnt", "101")
    vz.ctl("restore", "101")
    assert inside(vz, "cat /run/sshd.pid /run/crond.pid; kill -0 $(cat /run/sshd.pid)") == before
    inside(vz, "rc-service cron restart")
    vz.ctl("stop", "101")
    assert vz.status(101) == DOWN


def test_runit_has_a_prompt_on_each_of_its_terminals(vz: Vz) -> None:
    vz.start(101, "--init", "handoff", template="debian-12-runit")
    for number in ("1", "3"):
        console = vz.spawn("vzctl", "console", "101", number)
        console.send("\r")
        console.expect("login: ")
        console.send("\r\x1b.")
        console.expect("Detached")
    vz.ctl("exec", "101", "poweroff", check=None)
    vz.wait_status(101, DOWN)


def test_an_image_without_an_init(vz: Vz) -> None:
    vz.create(101, "--init", "handoff")
    vz.ctl("runscript", "101", script(vz, "rm /sbin/init"))
    refused = vz.ctl("start", "101", check=47)
    assert "the image has no init: none of /sbin/init, /etc/init, /bin/init" in refused.stderr
    assert vz.status(101) == DOWN
    vz.ctl("set", "101", "--init", "vz", "--save")
    vz.ctl("start", "101")
    assert init(vz) == "vzinit"


def test_the_choice(vz: Vz) -> None:
    """Of the container, else of its template."""
    vz.template("busybox")
    defaults = f"{vz.paths.template_cache}/busybox.conf"
    with open(defaults, "w") as file:
        file.write('INIT="handoff"\n')
    vz.ctl("create", "101", "--ostemplate", "busybox", "--init", "vz")
    assert 'INIT="vz"' in machine.read(vz.paths.ct_conf(101))
    vz.ctl("create", "102", "--ostemplate", "busybox")
    assert 'INIT="handoff"' in machine.read(vz.paths.ct_conf(102))
    vz.ctl("set", "101", "--stop-timeout", "20", "--save")
    vz.ctl("start", "101")
    said = vz.ctl("set", "101", "--init", "handoff", "--save")
    assert "--init takes effect after a restart" in said.stdout + said.stderr
    assert init(vz) == "vzinit"
    vz.ctl("set", "101", "--init", "handoff", "--save", "--setmode", "restart")
    assert init(vz) == "busybox"
    refused = vz.ctl("set", "101", "--init", "systemd", "--save", check=21)
    assert "must be vz or handoff" in refused.stderr
    with open(defaults, "w") as file:
        file.write('HOSTNAME="all-the-same"\n')
    refused = vz.ctl("create", "103", "--ostemplate", "busybox", check=85)
    assert "busybox.conf:1" in refused.stderr
    assert vz.status(103).startswith("deleted")
