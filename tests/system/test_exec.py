"""exec, exec2, exec3, runscript: what goes in and out, and the exit codes."""

import os
import signal
import subprocess

import pytest

from tests.harness import machine
from tests.harness.installation import TIMEOUT, Vz

pytestmark = pytest.mark.system


def test_exit_codes(vz: Vz) -> None:
    vz.start(101)
    assert vz.ctl("exec2", "101", "exit 37", check=37).stderr == ""
    vz.ctl("exec", "101", "exit 37", check=8)
    vz.ctl("exec2", "101", "kill -TERM $$", check=128 + signal.SIGTERM)
    vz.ctl("exec3", "101", "/bin/sh", "-c", "exit 5", check=5)
    for verb in ("exec2", "exec3"):
        vz.ctl(verb, "101", "no-such-program", check=127)
        vz.ctl(verb, "101", "/etc/passwd", check=126)
    vz.ctl("exec", "101", "no-such-program", check=8)
    assert "No command line given for exec" in vz.ctl("exec", "101", check=20).stderr


def test_a_stopped_container(vz: Vz) -> None:
    vz.create(101)
    assert vz.ctl("exec", "101", "true", check=8).stderr == "Container is not running\n"
    assert vz.ctl("exec2", "101", "true", check=31).stderr == "Container is not running\n"


def test_words_streams_and_environment(vz: Vz) -> None:
    vz.start(101)
    assert vz.ctl("exec2", "101", "echo", "a", "b; echo c").stdout == "a b\nc\n"
    assert vz.ctl("exec3", "101", "echo", "a  b", "").stdout == "a  b \n"
    both = vz.ctl("exec2", "101", "echo out; echo err >&2")
    assert (both.stdout, both.stderr) == ("out\n", "err\n")
    environment = sorted(vz.ctl("exec3", "101", "env").stdout.split())
    assert environment == [
        "HOME=/",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "TERM=linux",
    ]
    assert vz.ctl("exec2", "101", "-", input="echo from stdin\nexit 3\n", check=3).stdout == "from stdin\n"


def test_a_megabyte_goes_through_unchanged(vz: Vz) -> None:
    vz.start(101)
    data = os.urandom(1 << 20)
    argv = ["nsenter", f"--net=/run/netns/{vz.netns}", "vzctl", "exec2", "101", "cat"]
    done = subprocess.run(argv, env=vz.env, input=data, capture_output=True, check=True)
    assert done.stdout == data


def test_end_of_input_arrives(vz: Vz) -> None:
    vz.start(101)
    assert vz.ctl("exec2", "101", "wc -c", input="12345").stdout.strip() == "5"


def test_children_of_exec_have_a_clean_start(vz: Vz) -> None:
    """No descriptor of hostd, no blocked or ignored signal, no controlling terminal."""
    vz.start(101)
    fds = vz.ctl("exec3", "101", "/bin/sh", "-c", "ls /proc/$$/fd").stdout.split()
    assert sorted(fds)[:3] == ["0", "1", "2"] and len(fds) <= 4  # a shell may keep its script
    status = vz.ctl("exec3", "101", "cat", "/proc/self/status").stdout
    masks = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith("Sig")}
    assert int(masks["SigBlk"], 16) == 0
    assert int(masks["SigIgn"], 16) == 0


def test_exec_ends_with_its_client(vz: Vz) -> None:
    """A client that goes away takes its command along: no process is left behind in the container."""
    vz.start(101)
    child = vz.popen("vzctl", "exec2", "101", "sleep 7654")
    machine.until("sleep runs", lambda: "sleep 7654" in vz.ctl("exec2", "101", "ps").stdout)
    child.terminate()
    child.wait()
    machine.until(
        "sleep is gone",
        lambda: not [x for x in vz.ctl("exec2", "101", "ps").stdout.splitlines() if "7654" in x],
    )


def test_many_at_once(vz: Vz) -> None:
    vz.start(101)
    clients = [vz.popen("vzctl", "exec2", "101", f"sleep 0.2; echo {n}; exit {n}") for n in range(1, 21)]
    for number, client in enumerate(clients, 1):
        out, err = client.communicate(timeout=TIMEOUT)
        assert (client.returncode, out, err) == (number, f"{number}\n", "")


def test_runscript(vz: Vz) -> None:
    vz.create(101)
    script = f"{vz.prefix}/script"
    with open(script, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nhostname; exit 6\n")
    assert vz.ctl("runscript", "101", script, check=6).code == 6
    assert vz.status(101) == "exist unmounted down"
    vz.ctl("start", "101")
    vz.ctl("runscript", "101", script, check=6)
    vz.ctl("runscript", "101", f"{vz.prefix}/absent", check=11)


@pytest.mark.parametrize(("verb", "code"), [("exec", 8), ("exec2", 3)])
def test_a_command_goes_on_when_hostd_is_killed(vz: Vz, verb: str, code: int) -> None:
    vz.start(101)
    child = vz.popen("vzctl", verb, "101", "echo begun; read x; echo got-$x; exit 5")
    assert child.stdout and child.stdin
    assert child.stdout.readline() == "begun\n"
    vz.kill_both()
    vz.wait_status(101, "exist mounted running")
    said, complaint = child.communicate("this\n", timeout=TIMEOUT)
    assert (child.returncode, said) == (code, "got-this\n")
    assert complaint.endswith("the program went on, but how it ended is not known\n")


def test_exec_does_not_wait_for_the_lock(vz: Vz) -> None:
    """exec and status answer while another command holds the container."""
    vz.start(101)
    lock = f"{vz.paths.lock_dir}/101.lck"
    holder = subprocess.Popen(["sleep", "60"])
    try:
        with open(lock, "w", encoding="ascii") as file:
            file.write(f"{holder.pid}\n\n")
        assert vz.ctl("exec2", "101", "echo hi").stdout == "hi\n"
        assert vz.status(101) == "exist mounted running"
        locked = vz.ctl("stop", "101", check=9)
        assert f"Locked by: pid {holder.pid}" in locked.stdout + locked.stderr
        assert "Container already locked" in locked.stdout + locked.stderr
    finally:
        holder.kill()
        holder.wait()
    stale = vz.ctl("stop", "101", "--fast")
    assert f"Removing stale lock file {lock}" in stale.stdout
