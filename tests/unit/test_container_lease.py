"""User id ranges: free, aligned, and nobody else's."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hostd.config import skeleton
from hostd.config.model import GlobalConfig
from hostd.config.paths import Paths
from hostd.container import lease, record
from hostd.container.record import Record
from hostd.errors import Exit, Failure

CHECKPOINT = {"channel": 1, "runtime": "x", "external": {}, "dev": {"options": "", "nodes": []}, "cgroups": {},
              "network": {}}  # fmt: skip


def ids(base: int) -> range:
    """What a container has that begins there and nests nothing."""
    return range(base, base + lease.RANGE)


def test_bases_are_whole_ranges_outside_of_what_systemd_takes() -> None:
    for count in (lease.RANGE, lease.NESTING):
        ids = lease.lease("", [], [], count)
        assert ids.start % lease.RANGE == 0 and len(ids) == count
        assert ids.start >= 0x70000000 and ids.stop <= 0x7FFE0000


def test_nobody_gets_what_another_has() -> None:
    taken: list[range] = []
    for count in (lease.RANGE, lease.NESTING) * 25:
        taken.append(lease.lease("ab", taken, [], count))
    assert len(lease.blocks(taken)) == 25 + 25 * 16


def test_prefixes_begin_elsewhere() -> None:
    assert len({lease.lease(tag, [], []) for tag in ("", "aa", "bb", "cc")}) == 4


def test_ranges_of_subuid_are_avoided() -> None:
    free = lease.lease("", [], [])
    assert lease.lease("", [], [(free.start + 10, 1)]) == ids(free.stop)
    assert lease.lease("", [], [(free.start + 10, 1)], lease.NESTING).start == free.stop


def test_when_all_are_taken_it_says_so() -> None:
    everything = [ids(multiple * lease.RANGE) for multiple in lease.window("")]
    with pytest.raises(Failure, match="no free range of 65536 user ids"):
        lease.lease("", everything, [])
    assert lease.lease("", everything[1:], []) == everything[0]
    with pytest.raises(Failure, match="no free range of 1048576 user ids"):
        lease.lease("", everything[15::16], [], lease.NESTING)


def test_subuid_lines_that_do_not_parse_are_ignored(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("anna:100000:65536\n# comment\nbroken\nbob:x:1\n")
    assert lease.subuid(str(file)) == [(100000, 65536)]
    assert lease.subuid(str(tmp_path / "absent")) == []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the machine in which hostds know of each other."""
    directory = tmp_path / "hostds"
    monkeypatch.setattr(Paths, "hostds_dir", str(directory))
    return directory


def installation(tmp_path: Path, name: str, *bases: int) -> Paths:
    """One with a running container for each of *bases*."""
    paths = Paths(str(tmp_path / name))
    os.makedirs(paths.records_dir)
    for ctid, base in enumerate(bases, start=101):
        Record(ctid=ctid, uid_base=base).save(paths)
    return paths


def join(paths: Paths) -> lease.Leases:
    leases = lease.Leases(paths)
    with leases.taken(but=0):
        return leases


def taken(leases: lease.Leases, but: int = 0) -> set[range]:
    with leases.taken(but=but) as found:
        return found


def test_what_other_installations_have_is_taken(tmp_path: Path, machine: Path) -> None:
    ours, other = join(installation(tmp_path, "one")), installation(tmp_path, "two", 11 << 16, 12 << 16)
    ours.ours |= {101: ids(21 << 16), 102: ids(22 << 16)}
    assert taken(ours) == {ids(21 << 16), ids(22 << 16)}, "the other has never leased"
    join(other)
    assert taken(ours, but=101) == {ids(22 << 16), ids(11 << 16), ids(12 << 16)}


def test_only_changed_records_are_read_again(
    tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = join(installation(tmp_path, "one")), installation(tmp_path, "two", 11 << 16, 12 << 16)
    join(other)
    read: list[int] = []
    load = record.load

    def noted(paths: Paths, ctid: int) -> Record | None:
        read.append(ctid)
        return load(paths, ctid)

    monkeypatch.setattr(record, "load", noted)
    assert taken(ours) == {ids(11 << 16), ids(12 << 16)} and sorted(read) == [101, 102]
    read.clear()
    Record(ctid=102, uid_base=13 << 16).save(other)
    Record(ctid=103, uid_base=14 << 16).save(other)
    os.unlink(other.ct_record(101))
    assert taken(ours) == {ids(13 << 16), ids(14 << 16)} and sorted(read) == [102, 103]
    assert taken(ours) == {ids(13 << 16), ids(14 << 16)} and sorted(read) == [102, 103]


def test_a_link_goes_away_with_its_installation_and_stays_with_its_checkpoints(tmp_path: Path, machine: Path) -> None:
    ours = join(installation(tmp_path, "one"))
    removed, asleep = installation(tmp_path, "two"), installation(tmp_path, "three")
    for paths in (removed, asleep):
        join(paths)
        shutil.rmtree(paths.run_dir)
    os.makedirs(asleep.dump(101))
    Path(asleep.dump(101), "vzhost.json").write_text(json.dumps(CHECKPOINT | {"uid_base": 7 << 16}))
    assert taken(ours) == {ids(7 << 16)}
    assert set(os.listdir(machine)) == {paths.cgroup_root for paths in (Paths(str(tmp_path / "one")), asleep)}


def test_checkpoints_are_where_a_hostd_has_them(tmp_path: Path, machine: Path) -> None:
    """Another's are where its vz.conf says now; our own where they were when we began, whatever that says now."""
    ours, other = installation(tmp_path, "one"), installation(tmp_path, "two")
    for paths in (ours, other):
        skeleton.install(paths)
        Path(paths.vz_conf).write_text("DUMPDIR=/elsewhere\n")
    moved = GlobalConfig.load(other).paths
    for paths, base in ((ours, 6 << 16), (moved, 7 << 16)):
        os.makedirs(paths.dump(101))
        Path(paths.dump(101), "vzhost.json").write_text(json.dumps(CHECKPOINT | {"uid_base": base}))
    join(other)
    assert taken(join(ours)) == {ids(6 << 16), ids(7 << 16)}


def test_what_is_no_link_is_passed_over_and_told_once(
    tmp_path: Path, machine: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = installation(tmp_path, "two", 11 << 16)
    join(other)
    (machine / "file").touch()
    (machine / "folder").mkdir()
    (machine / "dangling").symlink_to("/nonexistent")
    (machine / "host").symlink_to("/etc")
    ours = join(installation(tmp_path, "one"))
    for _ in range(2):
        assert taken(ours) == {ids(11 << 16)}
    wanted = [f"{machine}/{name} is ignored, it leads to no hostd: Invalid argument" for name in ("file", "folder")]
    assert sorted(caplog.messages) == wanted
    assert {"file", "folder"} <= set(os.listdir(machine)) and not os.path.lexists(machine / "dangling")


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("/")], ids=["file", "link elsewhere"])
def test_our_own_link_is_put_right(tmp_path: Path, machine: Path, make: Callable[[Path], None]) -> None:
    paths = installation(tmp_path, "one")
    machine.mkdir()
    make(machine / paths.cgroup_root)
    join(paths)
    assert os.readlink(machine / paths.cgroup_root) == paths.prefix


def test_a_start_goes_on_where_our_link_cannot_be(
    tmp_path: Path, machine: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = installation(tmp_path, "one")
    link = machine / paths.cgroup_root
    link.mkdir(parents=True)
    assert taken(join(paths)) == set()
    assert caplog.messages == [f"{link}: Is a directory: other hostds may lease the user ids of our containers"]


def test_the_link_goes_when_nothing_is_leased(tmp_path: Path, machine: Path) -> None:
    paths = installation(tmp_path, "one", 5 << 16)
    leases = join(paths)
    leases.leave()
    assert os.listdir(machine) == [paths.cgroup_root], "a container runs"
    os.unlink(paths.ct_record(101))
    leases.leave()
    assert os.listdir(machine) == []
    leases.leave()


def test_a_lock_that_somebody_keeps_is_named(tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "PATIENCE", 0.05)
    leases = join(installation(tmp_path, "one"))
    keeps = ["sh", "-c", "exec 9<$0; flock 9; exec sed -u p", str(machine)]
    with subprocess.Popen(keeps, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        holder.stdin.write(b"are you there\n")
        holder.stdin.flush()
        assert holder.stdout.readline()
        with pytest.raises(Failure) as caught:
            taken(leases)
        holder.communicate()
    who = f"process {holder.pid} (sed -u p)"
    assert caught.value.message == f"no user ids can be leased: {machine} is locked by {who}"
    assert caught.value.exit_code == Exit.LOCKED
    assert taken(leases) == set()


def test_threads_of_one_hostd_take_turns(tmp_path: Path, machine: Path) -> None:
    leases = join(installation(tmp_path, "one"))

    def one(ctid: int) -> None:
        with leases.taken(but=ctid) as found:
            leases.ours[ctid] = lease.lease("ab", found, [])

    threads = [threading.Thread(target=one, args=(ctid,)) for ctid in range(101, 121)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(leases.ours.values())) == 20


def test_an_error_while_leasing_is_not_taken_for_the_lock(tmp_path: Path, machine: Path) -> None:
    leases = join(installation(tmp_path, "one"))
    with pytest.raises(TimeoutError), leases.taken(but=0):
        raise TimeoutError
    assert taken(leases) == set(), "and the lock was given back"
