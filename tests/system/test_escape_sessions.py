"""The escape battery, second part: what comes in from outside (commands, logins, a prepared tree) opens no way out."""

import os
import re
import shutil

import pytest

from tests.harness import machine
from tests.harness.escape import Guest, host_state
from tests.harness.installation import Vz

pytestmark = pytest.mark.system

FDS = "for f in 0 1 2 3 4 5 6 7 8 9 10 20 50 99; do [ -e /proc/self/fd/$f ] && readlink /proc/self/fd/$f; done; pwd -P"


def test_30_leaked_descriptors(vz: Vz) -> None:
    """exec, enter and a service have 0-2 and a directory inside; PID 1 has nothing that leads to the host."""
    vz.start(101)
    *fds, cwd = vz.ctl("exec2", "101", FDS).stdout.split()
    assert cwd == "/" and len(fds) == 3 and all(fd.startswith("pipe:") for fd in fds)
    child = vz.spawn("vzctl", "enter", "101", "--exec", f"echo BEG''IN; {FDS}; echo EN''D; exit")
    child.expect("BEGIN\r\n(.*)\r\nEND")
    *fds, cwd = child.match[1].split()
    assert cwd == "/root" and fds[:3] == [fds[0]] * 3 and fds[0].startswith("/dev/pts/"), child.match[1]
    assert set(fds[3:]) <= {"/dev/tty"}, "besides, the shell's own"
    listing = "for f in /proc/1/fd/*; do readlink $f; done; readlink /proc/1/cwd"
    of_init = vz.ctl("exec2", "101", listing).stdout.split("\n")
    kinds = r"(anon_inode|socket|pipe|/memfd|/dev/(null|tty\d?|console|pts/\w+|initctl)|/run/.*|/)(:.*| .*)?"
    assert all(re.fullmatch(kinds, line) for line in of_init if line), of_init


def test_31_a_joiner_is_never_seen(vz: Vz) -> None:
    """Commands are PID 1's children: no process of the host enters the container, so none can be caught in it."""
    vz.start(101)
    spy = "while :; do for p in /proc/[0-9]*; do readlink $p/exe; readlink $p/cwd; readlink $p/root; done; done"
    vz.ctl("exec2", "101", f"({spy}) > /tmp/seen 2>/dev/null & echo $! > /tmp/spy")
    for _ in range(20):
        vz.ctl("exec2", "101", "true")
        vz.ctl("exec3", "101", "/bin/ls", "/")
    vz.ctl("exec2", "101", "kill $(cat /tmp/spy)")
    seen = set(vz.ctl("exec2", "101", "sort -u /tmp/seen").stdout.split("\n")) - {"", "/"}
    assert seen, "the spy saw nothing"
    root = f"{vz.prefix}/var/lib/vz/root/101"
    foreign = [path for path in seen if not path.startswith("/.vz/") and not os.path.lexists(root + path)]
    assert not foreign


def test_33_typing_for_the_administrator(vz: Vz) -> None:
    vz.create(101, template="debian-12")
    vz.ctl("start", "101")
    for request in ("0x5412", "0x541C"):  # TIOCSTI, TIOCLINUX
        code = f"""perl -e '$b = "x"; print ioctl(STDIN, {request}, $b) ? "typed" : "errno=" . ($!+0), "\\n"'; exit"""
        child = vz.spawn("vzctl", "enter", "101", "--exec", code)
        child.expect(r"(errno=\d+|typed)\r\n")
        assert child.match[1] == "errno=1"


def test_33_no_terminal_of_the_caller_on_pipes(vz: Vz) -> None:
    """exec has no controlling terminal: the one of the command outside stays there."""
    vz.start(101)
    child = vz.spawn("vzctl", "exec2", "101", "tty; cat /dev/tty")
    child.expect("not a tty")
    child.expect("No such device or address")


EVIL = (
    ("proc", "/etc"),
    ("dev", "/"),
    ("sys", "../../.."),
    ("sys", "proc"),
    ("run", "../../../../../../../run"),
    (".vz", "/bin"),
)


def mounts_of(vz: Vz) -> list[str]:
    """All that is mounted where hostd is, but for what the first start makes for all of them: runtime and views."""
    lines = machine.read(f"/proc/{vz.daemon_pid}/mountinfo").splitlines()
    ours = (f"{vz.paths.runtime_dir}/", vz.paths.views_dir)
    return [line for line in lines if not line.split(" ")[4].startswith(ours)]


def test_32_evil_root_file_system(vz: Vz) -> None:
    """A tree whose mount points are links does not start, and nothing is mounted where they lead.

    hostd has a mount namespace of its own, in which nobody else mounts anything meanwhile.
    """
    vz.start_hostd("unshare", "--mount", "sh", "-c", f'{machine.LET_GO}; exec "$0"')
    vz.create(101, "--layout", "simfs")
    private = f"{vz.prefix}/var/lib/vz/private/101"
    before, mounts = host_state(), mounts_of(vz)
    for name, target in EVIL:
        place = f"{private}/{name}"
        shutil.rmtree(place, ignore_errors=True)
        os.symlink(target, place)
        failed = vz.ctl("start", "101", check=None)
        assert failed.code != 0 and "Too many levels of symbolic links" in failed.stderr, (name, failed)
        assert failed.stderr.count("\n") == 1
        assert (host_state(), mounts_of(vz)) == (before, mounts)
        assert vz.status(101) == "exist unmounted down"
        os.unlink(place)
        os.mkdir(place)
    vz.ctl("start", "101")
    assert len(mounts_of(vz)) == len(mounts) + 1, "its root, and nothing else"


def test_files_written_at_a_start_stay_inside(vz: Vz) -> None:
    """hostname, hosts, resolv.conf and the password are written from inside: links lead nowhere else."""
    vz.create(101, "--layout", "simfs", "--hostname", "one")
    vz.ctl("set", "101", "--nameserver", "192.0.2.53", "--save")
    outside = f"{vz.prefix}/outside"
    os.mkdir(outside)
    private = f"{vz.prefix}/var/lib/vz/private/101"
    for name in ("hostname", "hosts", "resolv.conf", "machine-id"):
        place = f"{private}/etc/{name}"
        if os.path.lexists(place):
            os.unlink(place)
        os.symlink(f"{outside}/{name}", place)
    vz.ctl("start", "101")
    assert os.listdir(outside) == []


def test_a_deep_cgroup_tree_of_the_guest_goes_away(vz: Vz) -> None:
    """Longer than PATH_MAX: the host can remove it all the same, and start the container again."""
    vz.start(101)
    nest = "n=$(printf %0250d 1); cd /sys/fs/cgroup; for i in $(seq 30); do mkdir $n && cd $n; done"
    vz.ctl("exec2", "101", nest + "; sleep 100 & echo $! > cgroup.procs")
    vz.ctl("stop", "101", "--fast")
    vz.ctl("start", "101")
    assert Guest(vz, 101).sh("true").code == 0


def test_what_lies_on_the_host_is_closed(vz: Vz) -> None:
    """A set-user-id program of the guest's, or its memory in a dump, must not be within reach of the host's users."""
    vz.start(101)
    paths = vz.paths
    modes = {
        os.path.dirname(paths.private_default): 0o700,
        os.path.dirname(paths.root_default): 0o700,
        paths.template_tree: 0o700,
        paths.dump_dir: 0o700,
        paths.vzrm_dir: 0o700,
        paths.records_dir: 0o700,
        paths.socket: 0o600,
        paths.log_file: 0o640,
        paths.hostd_log: 0o640,
    }
    assert {path: os.stat(path).st_mode & 0o777 for path in modes} == modes
    assert {os.stat(path).st_uid for path in modes} == {0}

    root = f"{vz.prefix}/var/lib/vz/root/101"
    mount = os.ST_NOSUID | os.ST_NODEV
    assert os.statvfs(root).f_flag & mount == mount
    inside = vz.ctl("exec2", "101", "grep ' / / ' /proc/self/mountinfo").stdout
    assert "nosuid" not in inside, "set-user-id programs work inside"
