"""The directory of a checkpoint, and what `state` reads from it."""

import asyncio
import errno
import os
import pathlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hostd.checkpoint import images_dir, saved, state
from hostd.checkpoint.cgmap import Group
from hostd.checkpoint.dev_tree import DevTree, Node
from hostd.checkpoint.network import Network, attributes, messages
from hostd.checkpoint.state import Flight, Phase
from hostd.config import files
from hostd.config.paths import Paths
from hostd.container import overtaken
from hostd.errors import BadCheckpoint, Failure
from tests.harness.patience import patient

ME = os.getgid()


@pytest.fixture
def path(tmp_path: pathlib.Path) -> str:
    return f"{tmp_path}/Dump.101"


def make(path: str, content: str = "new") -> None:
    """A dump in flight that has everything but its commit."""
    os.makedirs(images_dir.part(path))
    with open(f"{images_dir.part(path)}/{images_dir.SAVED}", "w", encoding="ascii") as file:
        file.write(content)


def read(path: str) -> str:
    with open(f"{path}/{images_dir.SAVED}", encoding="ascii") as file:
        return file.read()


def test_a_checkpoint_appears_whole_and_replaces_the_old_one(path: str) -> None:
    make(path, "old")
    assert not images_dir.exists(path)
    images_dir.commit(path)
    make(path, "new")
    assert read(path) == "old"
    images_dir.commit(path)
    assert read(path) == "new"
    assert os.listdir(os.path.dirname(path)) == ["Dump.101"]


def test_a_disk_that_fails_at_the_end_loses_no_images(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The container is gone by then: what there is keeps its name, and the older one stays beside it."""

    def fails(_number: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    make(path, "old")
    images_dir.commit(path)
    make(path, "new")
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="Input/output"):
        images_dir.commit(path)
    assert (read(path), read(f"{path}.old")) == ("new", "old")
    monkeypatch.undo()
    make(path, "newer")
    images_dir.commit(path)
    assert os.listdir(os.path.dirname(path)) == ["Dump.101"]


def test_the_disk_is_durable_before_the_memory_that_goes_with_it(
    path: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(images_dir, "syncfs", lambda root: done.append(f"syncfs {root}"))
    monkeypatch.setattr(files, "sync", lambda name: done.append(f"sync {os.path.basename(name)}"))
    make(path)
    images_dir.commit(path, str(tmp_path))
    assert done == [f"syncfs {tmp_path}", "sync vzhost.json", "sync Dump.101.part", f"sync {tmp_path.name}"]


def test_a_checkpoint_that_is_not_wanted_is_none_at_once_and_durably(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss of power in the middle of the removal must not bring it back, nor a killed daemon leave it for good."""
    make(path)
    images_dir.commit(path)
    done: list[str] = []
    monkeypatch.setattr(files, "sync", lambda name: done.append(f"sync {name}"))
    monkeypatch.setattr(images_dir, "_remove", lambda name, *_: done.append(f"remove {name}"))
    images_dir.discard(path)
    assert done == [f"sync {os.path.dirname(path)}", "remove Dump.101.gone"]
    assert not images_dir.exists(path)
    assert images_dir.leftovers(os.path.dirname(path)) == [f"{path}.gone"]
    monkeypatch.undo()
    make(path)
    images_dir.commit(path)
    images_dir.discard(path)
    assert os.listdir(os.path.dirname(path)) == []


def test_what_is_left_of_one_goes_with_the_next_look(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its daemon died between the two; the sweep leaves alone what belongs to a container that runs."""
    make(path)
    images_dir.commit(path)
    monkeypatch.setattr(images_dir, "bury", lambda name: None)
    images_dir.discard(path)
    monkeypatch.undo()
    assert os.listdir(os.path.dirname(path)) == ["Dump.101.gone"]
    paths = Paths("/nowhere")
    monkeypatch.setattr(Paths, "dump", lambda paths, ctid: f"{os.path.dirname(path)}/Dump.{ctid}")
    asyncio.run(overtaken.forget(paths, 101))
    assert os.listdir(os.path.dirname(path)) == []
    asyncio.run(overtaken.forget(paths, 101))


@pytest.mark.parametrize("name", ["Dump.101", "Dump.101.part", "Dump.101.old"])
def test_a_directory_of_somebody_elses_is_in_the_way(path: str, tmp_path: pathlib.Path, name: str) -> None:
    images_dir.may_become(path)
    (tmp_path / name).mkdir()
    images_dir.may_become(path)
    (tmp_path / name / "precious").touch()
    with pytest.raises(Failure, match=f"{name} is a directory with other things in it") as caught:
        images_dir.may_become(path)
    assert caught.value.exit_code == 16


def test_a_link_is_in_the_way_and_an_older_checkpoint_is_not(path: str, tmp_path: pathlib.Path) -> None:
    make(path)
    images_dir.commit(path)
    make(path)
    (tmp_path / "Dump.101.part" / images_dir.BUSY).touch()
    images_dir.may_become(path)
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    with pytest.raises(Failure, match="is in the way"):
        images_dir.may_become(f"{tmp_path}/elsewhere")


@pytest.mark.root
def test_a_new_directory_is_the_containers_roots_to_look_up_in_only(path: str) -> None:
    images_dir.create(path, 4242)
    status = os.stat(images_dir.part(path))
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o710, 0, 4242)


def test_removal_takes_a_tree_and_follows_no_link(path: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "precious").mkdir()
    os.makedirs(f"{path}/deep/deeper")
    os.symlink(tmp_path / "precious", f"{path}/deep/link")
    images_dir.remove(path)
    images_dir.remove(path)
    assert os.listdir(tmp_path) == ["precious"]


def test_nothing_is_in_flight_where_nothing_is(path: str) -> None:
    assert state.inspect(path) == state.NOTHING


def test_who_holds_the_lock_is_in_flight(path: str) -> None:
    make(path)
    held = images_dir.lock(images_dir.part(path))
    assert held
    assert images_dir.lock(images_dir.part(path)) is None
    assert state.inspect(path) == Flight("dump", Phase.RUNNING)
    held.close()
    assert state.inspect(path).phase is Phase.FAILED


@pytest.mark.parametrize(
    ("files", "flight"),
    [
        ((images_dir.DUMPED,), Flight("dump", Phase.DONE)),
        ((images_dir.DUMPED, images_dir.REFUSED), Flight("dump", Phase.FAILED, "the dump was interrupted")),
        ((), Flight("dump", Phase.FAILED, "the dump was interrupted")),
    ],
)
def test_a_dump_that_lost_its_daemon_is_finished_or_gone(path: str, files: tuple[str, ...], flight: Flight) -> None:
    make(path)
    for name in files:
        open(f"{images_dir.part(path)}/{name}", "w").close()
    assert state.inspect(path) == flight
    assert images_dir.exists(path) == (flight.phase is Phase.DONE)
    assert not os.path.exists(images_dir.part(path))


@pytest.mark.parametrize(
    ("log", "flight"),
    [
        (None, Flight("dump", Phase.DONE)),
        ("", Flight("restore", Phase.FAILED, "the restore was interrupted")),
        ("Error (criu/x.c:1): why\n", Flight("restore", Phase.FAILED, "why")),
    ],
)
def test_what_became_of_a_restore(path: str, log: str | None, flight: Flight) -> None:
    make(path)
    images_dir.commit(path)
    if log is not None:
        with open(f"{path}/{images_dir.RESTORE_LOG}", "w", encoding="ascii") as file:
            file.write(log)
    assert state.inspect(path) == flight
    assert images_dir.exists(path)
    images_dir.forget_restore(path)
    assert state.inspect(path) == Flight("dump", Phase.DONE)


def test_a_restored_init_is_found_by_its_pid_when_the_daemon_was_killed(path: str) -> None:
    make(path)
    images_dir.commit(path)
    open(f"{path}/{images_dir.RESTORED}", "w").close()
    with open(f"{path}/pid", "w", encoding="ascii") as file:
        file.write(str(os.getpid()))
    found = state.inspect(path)
    assert (found.phase, found.pid) == (Phase.DONE, os.getpid())


def test_a_restored_init_that_has_ended_has_run(path: str) -> None:
    """Its disk is not as it was saved: this is no restore that failed."""
    make(path)
    images_dir.commit(path)
    open(f"{path}/{images_dir.RESTORED}", "w").close()
    found = state.inspect(path)
    assert (found.phase, found.pid) == (Phase.DONE, 0)


def test_one_that_has_run_is_not_restored_again(path: str) -> None:
    make(path)
    images_dir.commit(path)
    assert images_dir.restorable(path)
    open(f"{path}/{images_dir.RESTORED}", "w").close()
    assert not images_dir.restorable(path)
    assert images_dir.leftovers(os.path.dirname(path)) == [path]


def test_settled_waits_for_the_end(path: str) -> None:
    make(path)
    held = images_dir.lock(images_dir.part(path))
    assert held

    def finish() -> None:
        open(f"{images_dir.part(path)}/{images_dir.DUMPED}", "w").close()
        held.close()

    threading.Timer(0.05, finish).start()
    assert asyncio.run(state.settled(path)) == Flight("dump", Phase.DONE)


def test_one_that_hangs_takes_no_place_from_others(path: str) -> None:
    make(path)
    held = images_dir.lock(images_dir.part(path))
    assert held

    async def both() -> Flight:
        with ThreadPoolExecutor(1) as pool:
            asyncio.get_running_loop().set_default_executor(pool)
            waiting = asyncio.create_task(state.settled(path))
            try:
                for _ in range(3):  # the second would be behind who waits
                    await asyncio.sleep(0)
                    await asyncio.wait_for(asyncio.to_thread(os.getpid), patient(20))
            finally:
                held.close()
            return await waiting

    assert asyncio.run(both()).phase is Phase.FAILED


def test_what_is_saved_is_read_back(tmp_path: pathlib.Path) -> None:
    node = Node("log", 0o120777, 0, 5, target="/run/log")
    kept = saved.Saved(
        65536, 7, "/run/runtime", {"/dev": "vzdev"}, DevTree({"size": "64k"}, [node]),
        {"unified": [Group("a/b", [2, 3], 0, 0, "cpu")]},
        Network(["00"], [], {"core/somaxconn": "9"}), {"HOSTNAME": "a"}, {"HOSTNAME": "b"}, "4.2.1",
    )  # fmt: skip
    saved.store(str(tmp_path), kept)
    again = saved.load(str(tmp_path))
    assert again.dev.nodes == [Node("log", 0o120777, 0, 5, [0, 0], target="/run/log")]  # type: ignore[arg-type]
    assert (again.cgroups, again.network, again.external) == (kept.cgroups, kept.network, kept.external)


@pytest.mark.parametrize(("text", "match"), [(None, "holds no complete checkpoint"), ("{}", "is damaged")])
def test_an_incomplete_or_damaged_checkpoint_is_one_line(
    tmp_path: pathlib.Path, text: str | None, match: str
) -> None:
    if text:
        (tmp_path / images_dir.SAVED).write_text(text)
    with pytest.raises(BadCheckpoint, match=match):
        saved.load(str(tmp_path))


def test_netlink_is_cut_at_its_aligned_lengths() -> None:
    import struct

    two = struct.pack("=HH5s3x", 9, 15, b"abcde") + struct.pack("=HHI", 8, 1, 77)
    assert list(attributes(two)) == [(15, b"abcde"), (1, struct.pack("=I", 77))]
    assert list(messages(struct.pack("=IHHII4s", 20, 24, 0, 1, 0, b"body"))) == [(24, b"body")]
    assert list(messages(b"\0" * 16)) == []
