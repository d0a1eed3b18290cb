"""chkpnt and restore of a running container whose open TCP connection survives, also over a hostd restart."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.harness import leaks, machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS, needs
from tests.harness.swap import GROUP

pytestmark = [pytest.mark.system, pytest.mark.slow, CHECKPOINTS]

SUSPENDED = "exist unmounted down suspended"

# Busybox serves by itself; a Debian container dials out from bash.  Both echo each line back.
BUSYBOX = "setsid nc -l -p 7000 -e cat >/dev/null 2>&1 </dev/null &"
DEBIAN = (
    "setsid bash -c 'exec 3<>/dev/tcp/198.51.100.1/7000; while read -r line <&3; do echo $line >&3; done' "
    ">/dev/null 2>&1 </dev/null &"
)
CLIENT = """
import socket, sys
if sys.argv[1] == "listen":
    server = socket.create_server(("198.51.100.1", 7000))
    print("listening", flush=True)
    peer = server.accept()[0]
else:
    peer = socket.create_connection(("192.0.2.1", 7000), 20)
peer.settimeout(20)
print("connected", flush=True)
for line in sys.stdin:
    peer.sendall(line.encode())
    print(peer.recv(100).decode(), end="", flush=True)
"""


class Connection:
    """A TCP connection between the host and the container that is used before and after."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def echo(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        assert self.said() == text


def connect(vz: Vz, template: str) -> Connection:
    if template == "busybox":
        vz.ctl("exec2", "101", BUSYBOX)
        machine.until(
            "nc listens", lambda: vz.ctl("exec2", "101", "netstat -ltn | grep -q :7000", check=None).code == 0
        )
        connection = Connection(vz.popen("python3", "-c", CLIENT, "dial"))
    else:
        connection = Connection(vz.popen("python3", "-c", CLIENT, "listen"))
        assert connection.said() == "listening"
        vz.ctl("exec2", "101", DEBIAN)
    assert connection.said() == "connected"
    connection.echo("first")
    return connection


@pytest.fixture(params=["busybox", "debian-12"])
def template(request: pytest.FixtureRequest) -> Iterator[str]:
    yield str(request.param)


def test_a_connection_survives_twice_and_a_restart_of_hostd(vz: Vz, template: str) -> None:
    vz.start(101, "--ipadd", "192.0.2.1", "--hostname", "frozen", template=template)
    connection = connect(vz, template)
    vz.ctl("exec2", "101", "setsid tail -f /etc/hosts >/dev/null 2>&1 </dev/null & echo $! > /run/sleeper")
    for cycle, between in enumerate(("nothing", "hostd restarted", "daemon killed")):
        said = vz.ctl("chkpnt", "101")
        words = [line.strip() for line in said.stdout.splitlines()]
        assert words[0] == "Setting up checkpoint..."
        assert words[-1] == "Checkpointing completed successfully" or "Container is unmounted" in words
        assert {"suspend...", "dump...", "kill..."} <= set(words)
        assert vz.status(101) == SUSPENDED
        assert vz.vzlist("-aHo", "status", "101").strip() == "suspended"
        assert leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101) == []
        if between == "hostd restarted":
            vz.stop_hostd()
        if between == "daemon killed":
            vz.kill_daemon()
        said = vz.ctl("restore", "101")
        assert said.stdout.splitlines()[0] == "Restoring container ..."
        assert "Restoring completed successfully" in said.stdout
        assert vz.status(101) == "exist mounted running"
        connection.echo(f"after cycle {cycle}")
        assert (
            vz.ctl("exec2", "101", "hostname; kill -0 $(cat /run/sleeper) && echo same").stdout
            == "frozen\nsame\n"
        )


def test_pid_1_is_hostds_child_again(vz: Vz) -> None:
    """After a restore the reason of an end is still seen: reboot -f comes back, halt -f stops."""
    vz.start(101)
    vz.ctl("chkpnt", "101")
    vz.ctl("restore", "101")
    pid = vz.init_pid(101)
    parent = machine.read(f"/proc/{pid}/stat").rpartition(")")[2].split()[1]
    assert int(parent) == vz.keeper_pid
    clock = vz.uptime_clock(101)
    vz.ctl("exec", "101", "reboot -f", check=None)
    vz.wait_reboot(101, clock)
    vz.ctl("chkpnt", "101")
    vz.ctl("restore", "101")
    vz.ctl("exec", "101", "halt -f", check=None)
    vz.wait_status(101, "exist unmounted down")


def test_wrong_moments(vz: Vz) -> None:
    vz.create(101)
    said = vz.ctl("chkpnt", "101", check=31)
    assert "Unable to setup checkpointing: container is not running" in said.stderr
    vz.ctl("start", "101")
    vz.ctl("restore", "101", check=32)


def test_start_of_a_suspended_container_restores_it(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("exec2", "101", "setsid tail -f /etc/hosts >/dev/null 2>&1 </dev/null &")
    vz.ctl("chkpnt", "101")
    vz.ctl("start", "101")
    assert "tail -f /etc/hosts" in vz.ctl("exec2", "101", "ps").stdout


def test_a_login_session_is_closed_by_a_checkpoint(vz: Vz) -> None:
    vz.start(101)
    child = vz.spawn("vzctl", "enter", "101")
    child.expect_exact("entered into CT 101")
    vz.ctl("chkpnt", "101")
    child.expect_exact("exited from CT 101")
    vz.ctl("restore", "101")
    assert vz.answers(101)


def test_what_is_set_while_it_is_suspended_takes_effect(vz: Vz) -> None:
    """And of what is not touched, what was set before without --save is there still."""
    vz.start(101, "--ipadd", "192.0.2.1", "--ipadd", "2001:db8::1", "--hostname", "old")
    vz.ctl("set", "101", "--numproc", "300", "--ipadd", "192.0.2.9")
    vz.ctl("chkpnt", "101")
    vz.ctl("set", "101", "--ipadd", "192.0.2.5", "--ipdel", "192.0.2.1", "--hostname", "new",
           "--nameserver", "192.0.2.53", "--save")  # fmt: skip
    vz.start(102, "--ipadd", "192.0.2.1")
    vz.ctl("restore", "101")
    for address in ("192.0.2.5", "2001:db8::1", "192.0.2.1"):
        vz.ping(address)
    inside = vz.ctl("exec2", "101", "hostname; ip address; cat /etc/resolv.conf /etc/hosts").stdout
    assert inside.startswith("new\n") and "nameserver 192.0.2.53" in inside and "192.0.2.5 new" in inside
    assert "192.0.2.1/" not in inside and "192.0.2.9" not in inside and "old" not in inside
    assert sorted(vz.vzlist("-H", "-o", "ip", "101").split()) == ["192.0.2.5", "2001:db8::1"]
    assert vz.vzlist("-H", "-o", "numproc.l,hostname", "101").split() == ["300", "new"]


MANY = """
for i in $(seq 30); do setsid sleep 1000 & done
setsid sh -c "yes | dd bs=40M count=1 iflag=fullblock | { head -c 1 >/run/held; exec sleep 1000; }" &
until [ -s /run/held ]; do sleep 0.1; done
mkdir /dev/fuse
"""


@GROUP  # the host has no swap meanwhile
@needs("memory", "pids", "fuse")
@pytest.mark.parametrize("numproc", ["60", "10"])
def test_what_is_too_little_for_what_was_saved(vz: Vz, numproc: str) -> None:
    """It comes back all the same, keeps what cannot be taken, and says so.  NUMPROC may have been too little before."""
    vz.start(101)
    vz.ctl("set", "101", "--ram", "64M", "--swap", "0", "--save")
    vz.ctl("exec2", "101", f"{{ {MANY} }} >/dev/null 2>&1 </dev/null")
    vz.ctl("set", "101", "--numproc", numproc)
    vz.ctl("chkpnt", "101")
    vz.ctl("set", "101", "--numproc", "20", "--ram", "16M", "--devnodes", "fuse:rw", "--save")
    said = vz.ctl("start", "101").stdout.splitlines()
    assert "Restoring completed successfully" in said
    ram, node = (line for line in said if line.startswith("Warning: "))
    assert "of RAM and 0 of swap are in use; it keeps PHYSPAGES=" in ram
    assert node == 'Warning: cannot change /dev/fuse in CT 101: something else has that name; it keeps DEVNODES=""'
    assert vz.vzlist("-H", "-o", "physpages.l,numproc.l", "101").split() == [str((64 << 20) // 4096), "20"]
    assert int(vz.vzlist("-H", "-o", "numproc", "101")) > 31
    vz.ctl("set", "101", "--numproc", "100")
    assert len(vz.ctl("exec2", "101", "pidof sleep").stdout.split()) == 31


def test_nothing_else_writes_to_the_disk_of_a_suspended_container(vz: Vz) -> None:
    """What a script or a new password would write is not in the memory that the disk is restored with."""
    vz.start(101)
    vz.ctl("chkpnt", "101")
    with open(f"{vz.prefix}/script", "w", encoding="ascii") as file:
        file.write("touch /written\n")
    script, password = ("runscript", "101", f"{vz.prefix}/script"), ("set", "101", "--userpasswd", "root:x")
    for words in (script, password, ("mount", "101")):
        assert "Container is suspended" in vz.ctl(*words, check=31).stderr
    assert vz.status(101) == SUSPENDED
    vz.ctl("restore", "101")
    assert vz.ctl("exec2", "101", "test ! -e /written").code == 0
    vz.ctl("runscript", "101", f"{vz.prefix}/script")
    vz.ctl("exec2", "101", "test -e /written")


CGROUP_AFTER_CGROUP = """
cd /sys/fs/cgroup && last=none
for number in $(seq 100000); do
    mkdir $number && exec 3<$number/cgroup.procs && echo $number >/run/new && mv /run/new /run/now
    test $last = none || rmdir $last
    last=$number
done
"""


def test_what_comes_and_goes_up_to_the_last_moment_is_saved_as_it_is_then(vz: Vz) -> None:
    """A service that starts has made a cgroup and holds a file of it: neither was there when all began."""
    vz.start(101)
    vz.ctl("exec2", "101", f"setsid sh -c '{CGROUP_AFTER_CGROUP}' >/dev/null 2>&1 </dev/null &")
    for _ in range(3):
        now = vz.ctl("exec2", "101", "until test -s /run/now; do :; done; cat /run/now").stdout
        vz.ctl("chkpnt", "101")
        vz.ctl("restore", "101")
        vz.ctl("exec2", "101", f"until test $(cat /run/now) -gt $(({now.strip()} + 1)); do :; done")
