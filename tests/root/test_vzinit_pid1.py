"""PID 1 on its own: the start, the channel, children, zombies, memory.  The test plays the host."""

import errno
import os
import resource
import signal
import socket
import time

import pytest

from hostd.container import last_words
from tests.harness import machine
from tests.harness.patience import patient
from tests.harness.pid1 import Pid1, kill, launch, pid1
from vzinit import protocol
from vzinit.control import MAX_EDITED
from vzinit.session import GRACE

pytestmark = pytest.mark.root


def test_start_in_steps(root: str) -> None:
    with pid1(root) as world:
        before = time.monotonic_ns()
        hello = world.expect("hello")
        assert abs(int(hello["clock"]) - before) < 10e9
        pair = world.expect("pair")
        world.use(pair)
        inode = os.stat(f"/proc/{world.pid}/fd/{socket_fd(world.pid, pair['ino'])}").st_ino
        assert str(inode) == pair["ino"]
        assert world.request("write", path="/etc/new/hostname", mode="600", data="box\n").verb == "done"
        with open(f"{root}/etc/new/hostname") as file:
            assert file.read() == "box\n"
        assert os.stat(f"{root}/etc/new/hostname").st_mode & 0o7777 == 0o600
        assert world.request("hostname", name="box").verb == "done"
        assert world.request("go").verb == "ready"
        assert world.expect("running").fields == {}
        assert world.request("go").verb == "error"
        assert world.run("cat", "/proc/sys/kernel/hostname") == (0, "box\n")


def test_only_marked_lines_are_replaced(root: str) -> None:
    """Of a file that the container's owner edits too; the others stay as they are."""
    path = f"{root}/etc/hosts"
    with pid1(root) as world:
        world.use(world.expect("pair"))
        for name in ("one", "two"):
            answer = world.request("write", path="/etc/hosts", data=f"127.0.1.1 {name} # ours\n", mark="# ours")
            assert answer.verb == "done"
            with open(path) as file:
                before, ours = file.read().rpartition("127.0.1.1")[::2]
            assert ours == f" {name} # ours\n"
            with open(path, "a") as file:
                file.write(f"192.0.2.1 of-the-owner # {name}, without newline")
        assert before == "192.0.2.1 of-the-owner # one, without newline\n"
        os.truncate(path, MAX_EDITED + 1)
        assert world.request("write", path="/etc/hosts", data="late # ours\n", mark="# ours").verb == "done"
        assert os.path.getsize(path) == MAX_EDITED + 1, "too long to be edited"


def socket_fd(pid: int, inode: str) -> str:
    """The descriptor of *pid* that is the socket with this inode."""
    names = os.listdir(f"/proc/{pid}/fd")
    return next(name for name in names if os.readlink(f"/proc/{pid}/fd/{name}") == f"socket:[{inode}]")


def test_a_crash_of_pid_1_tells_why(root: str) -> None:
    """Its channel is no socket: the traceback is in the memory file that the host made."""
    with open("/dev/null", "rb") as null, last_words.create(0) as words:
        process = launch(root, null.fileno(), words)
        try:
            assert process.wait(patient(10)) == 1
        finally:
            kill(process)
        said = last_words.lines(words, 20)
    assert said[0].startswith("Traceback")
    assert said[-1] == "OSError: [Errno 88] Socket operation on non-socket"


def test_abandoned_before_go(root: str) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words = last_words.create(0)
    process = launch(root, theirs.fileno(), words)
    theirs.close()
    try:
        world = Pid1(process, ours, words)
        world.greet()
        world.channel.close()
        assert process.wait(patient(10)) == 1
    finally:
        kill(process)


def test_host_away_and_back(world: Pid1) -> None:
    """After `go`, a closed channel ends nothing; the rescue address takes a host outside of the pid namespace."""
    null = os.open("/dev/null", os.O_RDWR)
    world.request("exec", [null] * 3, id="s", argv=["sleep", "0.2"], env=["PATH=/bin"])
    pid = world.pid
    world.channel.close()
    world.channel = connect_in_netns(pid, "\0vzinit")
    assert world.ended("s")["code"] == "0", "the end of a session is told to the next host"
    assert world.request("ping").verb == "pong"
    world.use(world.request("newpair"))
    assert world.request("ping").verb == "pong"
    os.close(null)


def connect_in_netns(pid: int, address: str) -> socket.socket:
    """A SEQPACKET socket of the network namespace of *pid*, connected to *address*."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if not child:
        import ctypes

        with open(f"/proc/{pid}/ns/net") as namespace:
            ctypes.CDLL(None).setns(namespace.fileno(), 0)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.connect(address)
        socket.send_fds(theirs, [b"x"], [sock.fileno()])
        os._exit(0)
    _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    os.waitpid(child, 0)
    ours.close()
    theirs.close()
    return socket.socket(fileno=fds[0])


def test_rescue_refuses_the_inside(world: Pid1, root: str) -> None:
    """A process of the container connects to the same address and is turned away."""
    runtime_python = ["/.vz/bin/vzinit", "python"]
    code = (
        "import _socket\n"
        "s = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)\n"
        "s.connect(b'\\0vzinit')\n"
        "print(s.recv(10))"
    )
    assert world.run(*runtime_python, code) == (0, "b''\n")
    assert world.request("ping").verb == "pong"


@pytest.mark.parametrize(
    "frame",
    [b"no end", b"\xff\xfe=\0\0\0", b"ping\0seq\0", b"nonsense\0seq=7\0", b"exec\0seq=8\0", b"exec\0id=x\0argv=sh\0",
     b"write\0path=relative\0data=x\0", b"console\0tty=a\0", b"kill\0id=none\0signal=9\0", b"stop\0how=dance\0",
     b"stop\0timeout=soon\0", b"hup\0", b"console\0tty=99\0", b"x" * 1000],
)  # fmt: skip
def test_bad_frames_are_answered(world: Pid1, frame: bytes) -> None:
    world.channel.send(frame)
    assert int(world.expect("error")["errno"]) > 0
    assert world.request("ping").verb == "pong"


def test_frame_longer_than_allowed(world: Pid1) -> None:
    world.channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    world.channel.send(b"ping\0x=" + b"y" * (protocol.MAX_FRAME + 10) + b"\0")
    assert world.expect("error")["errno"] == str(errno.EBADMSG)
    assert world.request("ping").verb == "pong"


def test_a_thousand_zombies(world: Pid1) -> None:
    """A thousand orphans that end together, and double forks, leave nothing behind."""
    script = "for i in $(seq 1000); do (sleep 0.3 &) ; done"
    assert world.run("sh", "-c", script)[0] == 0
    deadline = time.monotonic() + patient(20)
    while time.monotonic() < deadline:
        states = [state for _, state in processes(world)]
        if len(states) == 1:
            break
        world.request("ping")
    assert len(states) == 1, f"{len(states)} processes left, {states.count('Z')} zombies"


def processes(world: Pid1) -> list[tuple[int, str]]:
    """(pid, state) of everything in the container, as the host sees it."""
    found = []
    namespace = os.readlink(f"/proc/{world.pid}/ns/pid")
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{name}/ns/pid") == namespace:
                with open(f"/proc/{name}/stat") as file:
                    found.append((int(name), file.read().rpartition(")")[2].split()[0]))
        except OSError:
            continue
    return found


# Signals 32 and 33: a C library does not let a program touch them, so what PID 1 inherits it hands on.  hostd's spawn
# clears them by system call, so that all is clean in a container (test_exec.py); here whoever started the tests counts.
C_LIBRARYS_OWN = 3 << 31


def test_child_is_clean(world: Pid1) -> None:
    """Descriptors, environment, signals, umask, session: nothing of vzinit."""
    assert world.run("ls", "/proc/self/fd") == (0, "0\n1\n2\n3\n"), "3 is the directory that ls reads"
    with open(f"/proc/{world.pid}/oom_score_adj", "w") as file:
        file.write("200")
    assert world.run("cat", "/proc/self/oom_score_adj") == (0, "0\n")
    assert world.run("sh", "-c", "umask") == (0, "0022\n")
    assert world.run("env", env=["PATH=/bin", "A=b c"]) == (0, "PATH=/bin\nA=b c\n")
    status = dict(line.split(":\t", 1) for line in world.run("cat", "/proc/self/status")[1].splitlines())
    masks = {int(status[key], 16) & ~C_LIBRARYS_OWN for key in ("SigBlk", "SigIgn", "SigCgt")}
    assert masks == {0}
    assert status["Uid"].split() == ["0"] * 4
    assert status["Groups"].split() == ["0"]
    pid, _, _, parent, group, session = world.run("cat", "/proc/self/stat")[1].split()[:6]
    assert (parent, group, session) == ("1", pid, pid)


def test_exec_as_user(world: Pid1) -> None:
    assert world.run("id", uid=1000, gid=1000, cwd="/tmp") == (
        0, "uid=1000(user) gid=1000(user) groups=5(tty),1000(user),2000(extra)\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "fields", "number"),
    [(["/no/such"], {}, errno.ENOENT), (["nosuch"], {}, errno.ENOENT), (["/etc/passwd"], {}, errno.EACCES),
     (["id"], {"cwd": "/nowhere"}, errno.ENOENT)],
)  # fmt: skip
def test_exec_errors(world: Pid1, argv: list[str], fields: dict[str, str], number: int) -> None:
    with pytest.raises(OSError, match=argv[0] if not fields else "nowhere") as caught:
        world.run(*argv, **fields)
    assert caught.value.errno == number


def test_script_without_interpreter_line(world: Pid1, root: str) -> None:
    with open(f"{root}/tmp/script", "w") as file:
        file.write("echo from a script $1\n")
    os.chmod(f"{root}/tmp/script", 0o755)
    assert world.run("/tmp/script", "x") == (0, "from a script x\n")


def test_exit_codes_and_signals(world: Pid1) -> None:
    assert world.run("sh", "-c", "exit 7")[0] == 7
    assert world.run("sh", "-c", "kill -9 $$")[0] == -9


def test_kill_ends_the_whole_command(world: Pid1) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    world.request("exec", [null] * 3, id="k", argv=["sh", "-c", "sleep 100 & sleep 100"], env=["PATH=/bin"])
    assert world.request("exec", [null] * 3, id="k", argv=["true"]).verb == "error", "the id is in use"
    assert world.request("kill", id="k", signal=15).verb == "done"
    assert world.ended("k")["signal"] == "15"
    os.close(null)
    until = time.monotonic() + patient(10)
    while "sleep" in world.run("ps", "-o", "args")[1]:
        assert time.monotonic() < until


def test_no_process_to_be_had(world: Pid1) -> None:
    """No descriptor is left for a pipe: the answer is an error, and PID 1 lives."""
    soft, hard = resource.prlimit(world.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(world.pid, resource.RLIMIT_NOFILE, (0, hard))
    null = os.open("/dev/null", os.O_RDWR)
    try:
        assert world.request("exec", [null] * 3, id="n", argv=["true"]).verb == "error"
        assert world.request("enter", id="m", term="x").verb == "error"
        assert world.request("newpair").verb == "error"
    finally:
        os.close(null)
        resource.prlimit(world.pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert world.run("true")[0] == 0


def test_quiesce_and_resume(world: Pid1, root: str) -> None:
    """Sessions end, nothing is sent before `resume`, then what was kept comes."""
    null = os.open("/dev/null", os.O_RDWR)
    deaf = "trap '' HUP; : >/tmp/deaf; sleep 100"
    world.request("exec", [null] * 3, id="stubborn", argv=["sh", "-c", deaf], env=["PATH=/bin"])
    world.request("exec", [null] * 3, id="easy", argv=["sleep", "100"], env=["PATH=/bin"])
    os.close(null)
    machine.until("it is deaf", lambda: os.path.exists(f"{root}/tmp/deaf"))
    before = len(world.seen)
    quiet = world.request("quiesce")
    assert quiet.verb == "quiet"
    assert [frame.verb for frame in world.seen[before:]] == ["quiet"]
    assert socket_fd(world.pid, quiet["ino"])
    assert world.request("resume").verb == "done"
    assert world.ended("easy")["signal"] == str(int(signal.SIGHUP))
    assert world.ended("stubborn")["signal"] == str(int(signal.SIGKILL))
    world.use(world.request("newpair"))
    assert world.run("true")[0] == 0


def test_who_comes_after_a_quiesce_is_left_alone(world: Pid1) -> None:
    """A restore may follow at once: nobody may be killed for what had to go before the checkpoint."""
    world.request("quiesce")
    world.request("resume")
    assert world.run("sleep", str(GRACE + 0.3))[0] == 0
