"""The lock file, the names: what other programs see on the disk."""

import errno
import os
import subprocess
import sys
import tempfile

import pytest

from hostd.config import lockfile, names
from hostd.config.lockfile import CtLock
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.errors import BadValue, Failure, Locked
from hostd.kernel.boot import boot_id
from hostd.kernel.process import Process
from tests.harness.fake_host import COMMAND_LINE, living_process


@pytest.fixture
def paths(tmp_path: os.PathLike[str]) -> Paths:
    found = Paths(str(tmp_path))
    os.makedirs(found.lock_dir)
    os.makedirs(found.conf_dir)
    return found


def write(paths: Paths, text: str) -> None:
    with open(paths.lock(101), "w", encoding="ascii") as file:
        file.write(text)


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_held_lock_is_a_file_with_the_holder(paths: Paths) -> None:
    with CtLock(paths, 101, "start") as lock:
        with open(f"{paths.lock_dir}/101.lck", encoding="ascii") as file:
            pid, action, identity = file.read().splitlines()
        assert (pid, action) == (str(os.getpid()), "start") and identity.startswith(boot_id())
        assert os.listdir(paths.lock_dir) == ["101.lck"]
        assert lock.removed_stale == ""
    assert os.listdir(paths.lock_dir) == []


def test_busy_at_once(paths: Paths) -> None:
    with CtLock(paths, 101, "start"), pytest.raises(Locked) as error, CtLock(paths, 101, "stop"):
        pytest.fail("two holders")
    said = f"Locked by: pid {os.getpid()}, cmdline vzctl start 101\nContainer already locked"
    assert (error.value.message, error.value.hint, error.value.exit_code) == (said, "", 9)
    with CtLock(paths, 101, "stop"), CtLock(paths, 102, "stop"):
        pass


@pytest.mark.parametrize("second", ["\n", "", "mounting\n"])
def test_the_lock_of_another_program(paths: Paths, second: str) -> None:
    with living_process() as pid:
        write(paths, f"{pid}\n{second}")
        with pytest.raises(Locked) as error, CtLock(paths, 101, "x"):
            pytest.fail("taken from a living process")
        said = f"Locked by: pid {pid}, cmdline {COMMAND_LINE}\nContainer already locked"
        assert (error.value.message, error.value.hint) == (said, "")
        assert os.listdir(paths.lock_dir) == ["101.lck"]
    with CtLock(paths, 101, "x") as lock:
        assert lock.removed_stale == paths.lock(101)
    assert os.listdir(paths.lock_dir) == []


@pytest.mark.parametrize("text", ["", "\n", "garbage\n", "-1\n", "99999999999999999999\n", "0\n"])
def test_a_lock_of_nobody_is_stale(paths: Paths, text: str) -> None:
    write(paths, text)
    with CtLock(paths, 101, "x") as lock:
        assert lock.removed_stale


def test_our_own_number_from_an_earlier_life_is_stale(paths: Paths) -> None:
    write(paths, f"{os.getpid()}\nstart\n")
    with CtLock(paths, 101, "x") as lock:
        assert lock.removed_stale


def test_a_dead_holder(paths: Paths) -> None:
    write(paths, f"{dead_pid()}\n")
    with CtLock(paths, 101, "x") as lock:
        assert lock.removed_stale


def test_a_zombie_holds_nothing(paths: Paths) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    write(paths, f"{child.pid}\n")
    with CtLock(paths, 101, "x") as lock:
        assert lock.removed_stale
    child.wait()


def test_a_later_process_of_the_same_number_holds_nothing(paths: Paths) -> None:
    """Our locks say who took them; of another program's there is only the number."""
    with living_process() as pid:
        identity = Process.open(pid).identity
        for stale in (f"{boot_id()} another process", f"{'0' * 36} {identity}"):  # the second: of an earlier boot
            write(paths, f"{pid}\nstart\n{stale}\n")
            with CtLock(paths, 101, "x") as lock:
                assert lock.removed_stale
        write(paths, f"{pid}\nstart\n{boot_id()} {identity}\n")
        with pytest.raises(Locked), CtLock(paths, 101, "x"):
            pytest.fail("taken from a living process")


def test_the_daemon_that_became_our_keeper_holds_nothing(paths: Paths) -> None:
    parent = os.getppid()
    write(paths, f"{parent}\nstart\n{boot_id()} {Process.open(parent).identity}\n")
    with CtLock(paths, 101, "x") as lock:
        assert lock.removed_stale


def test_a_sweep_takes_what_the_dead_left(paths: Paths) -> None:
    write(paths, f"{dead_pid()}\nstart\n")
    for name in (".101.lck.half", ".101.lck.stale.x", "other.file"):
        open(f"{paths.lock_dir}/{name}", "x").close()
    with living_process() as pid, CtLock(paths, 103, "x"):
        with open(paths.lock(102), "w", encoding="ascii") as file:
            file.write(f"{pid}\n")
        assert lockfile.sweep(paths) == [paths.lock(101)]
        assert sorted(os.listdir(paths.lock_dir)) == ["102.lck", "103.lck", "other.file"]


def test_a_lock_that_was_taken_over_is_not_removed(paths: Paths) -> None:
    with CtLock(paths, 101, "x"):
        os.unlink(paths.lock(101))
        write(paths, "1\n\n")
    assert os.path.exists(paths.lock(101))


def test_no_lock_directory(paths: Paths) -> None:
    os.rmdir(paths.lock_dir)
    with pytest.raises(Failure) as error, CtLock(paths, 101, "x"):
        pytest.fail("locked nowhere")
    assert error.value.exit_code == 77 and paths.lock_dir in error.value.message


@pytest.fixture(params=["mkstemp", "link", "write"])
def full(request: pytest.FixtureRequest, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk with the lock directory is full: nothing new, or nothing in it."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EDQUOT if request.param == "link" else errno.ENOSPC, "No space left on device")

    module = {"mkstemp": tempfile, "link": os, "write": os}[request.param]
    monkeypatch.setattr(module, "fchmod" if request.param == "write" else request.param, refuse)


def test_a_full_disk_keeps_nobody_from_stopping(full: None, paths: Paths, caplog: pytest.LogCaptureFixture) -> None:
    """Who has to make room must be able to; commands of ours exclude each other all the same."""
    with CtLock(paths, 101, "stop"):
        assert os.listdir(paths.lock_dir) == []
        assert f"no lock file {paths.lock(101)}: No space left on device" in caplog.text
        with pytest.raises(Locked) as error, CtLock(paths, 101, "start"):
            pytest.fail("two holders")
        assert f"pid {os.getpid()}, cmdline vzctl stop 101" in error.value.message
    with CtLock(paths, 101, "start"):
        pass


def test_the_lock_of_another_program_holds_on_a_full_disk(full: None, paths: Paths) -> None:
    with living_process() as pid:
        write(paths, f"{pid}\n\n")
        with pytest.raises(Locked), CtLock(paths, 101, "stop"):
            pytest.fail("taken from a living process")
    with CtLock(paths, 101, "stop") as lock:
        assert lock.removed_stale == paths.lock(101)


def test_any_other_trouble_is_said(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(Failure, match="Unable to create lock file") as error, CtLock(paths, 101, "stop"):
        pytest.fail("locked nowhere")
    assert error.value.exit_code == 3 and error.value.message.endswith("Read-only file system")


def conf(paths: Paths, ctid: int, name: str) -> None:
    VeConf.parse(f'NAME="{name}"\n').save(paths.ct_conf(ctid))


def test_names_lead_to_configurations_that_agree(paths: Paths) -> None:
    conf(paths, 101, "my web")
    names.assign(paths, 101, "my web")
    assert os.readlink(f"{paths.names_dir}/my web") == paths.ct_conf(101)
    assert names.resolve(paths, "my web") == 101
    assert names.resolve(paths, "101") == names.resolve(paths, "00101") == 101
    conf(paths, 101, "other")
    with pytest.raises(BadValue, match=r"^Bad CT ID my web$"):
        names.resolve(paths, "my web")


@pytest.mark.parametrize(
    "text", ["2147483645", "99999999999999999999", "-1", "", "nobody", "a/b", "../x", "1x", "²"]
)
def test_what_is_no_container(paths: Paths, text: str) -> None:
    with pytest.raises(BadValue) as error:
        names.resolve(paths, text)
    assert error.value.message == f"Bad CT ID {text}" and error.value.exit_code == 21


def test_a_name_belongs_to_one(paths: Paths) -> None:
    conf(paths, 101, "web")
    names.assign(paths, 101, "web")
    names.assign(paths, 101, "web")
    with pytest.raises(Failure, match=r"^Conflict: name web already used by container 101$") as error:
        names.assign(paths, 102, "web")
    assert error.value.exit_code == 131
    names.remove(paths, 102, "web")
    assert names.lookup(paths, "web") == 101
    names.remove(paths, 101, "web")
    names.remove(paths, 101, "web")
    assert os.listdir(paths.names_dir) == []


def test_a_name_never_leaves_its_directory(paths: Paths) -> None:
    conf(paths, 101, "../conf/x")
    os.makedirs(paths.names_dir)
    os.symlink(paths.ct_conf(101), f"{paths.conf_dir}/x")
    assert names.lookup(paths, "../conf/x") is None


def test_a_stale_link_is_taken_over(paths: Paths) -> None:
    names.assign(paths, 101, "web")  # no configuration carries the name
    conf(paths, 102, "web")
    names.assign(paths, 102, "web")
    assert names.lookup(paths, "web") == 102
