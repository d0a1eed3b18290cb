"""The test bed's own decisions: what runs in which machine, what counts as exercised, what an initrd loads first."""

import subprocess
from pathlib import Path

import pytest

from tests.vm import machines, runner, selection, summary
from tests.vm.boot import Outcome, understand
from tests.vm.initrd import Cpio
from tests.vm.kernel import load_order
from tests.vm.selection import Selection

CASE = '<testcase classname="{module}" name="t" time="{time}"><properties>{properties}</properties>{result}</testcase>'


def record(path: Path, *cases: tuple[str, str, tuple[str, ...]]) -> str:
    """A junit file of (kernel, result tag or "", needs)."""
    texts = []
    for kernel, tag, needs in cases:
        pairs = [("kernel", kernel), *(("needs", name) for name in needs)]
        properties = "".join(f'<property name="{name}" value="{value}"/>' for name, value in pairs)
        result = f"<{tag}/>" if tag else ""
        texts.append(CASE.format(module="tests.root.test_x", time="1.5", properties=properties, result=result))
    path.write_text(f"<testsuites><testsuite>{''.join(texts)}</testsuite></testsuites>")
    return str(path)


def test_a_feature_that_only_skipped_or_failed_was_exercised_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = record(tmp_path / "1.xml", ("6.18", "skipped", ("quota",)), ("6.18", "", ("memory",)))
    two = record(tmp_path / "2.xml", ("6.12", "failure", ("quota",)))
    assert summary.main([one, two]) == 1
    assert "exercised on no kernel: quota" in capsys.readouterr().out
    three = record(tmp_path / "3.xml", ("6.1", "", ("quota",)))
    assert summary.main([one, two, three]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[:3] == [["1:", "6.1"], ["2:", "6.12"], ["3:", "6.18"]]
    assert ["needs", "quota", "1", "-", "-"] in rows
    assert ["failed", "0", "1", "0"] in rows


def test_no_record_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert summary.main([]) == 1
    assert "no record" in capsys.readouterr().out


def test_shards_share_the_time_and_lose_nothing() -> None:
    chosen = Selection(tuple(f"tests/{name}.py" for name in "abcdef"), ("-x",))
    seconds = dict(zip(chosen.paths, (60.0, 30.0, 20.0, 10.0, 5.0, 5.0), strict=True))
    parts = selection.shards(chosen, 2, seconds)
    assert sorted(path for part in parts for path in part.paths) == sorted(chosen.paths)
    assert [sum(seconds[path] for path in part.paths) for part in parts] == [65.0, 65.0]
    assert {part.options for part in parts} == {("-x",)}


def test_more_machines_than_files_start_no_idle_one() -> None:
    assert len(selection.shards(Selection(("tests/unit/test_vm_bed.py",), ()), 2, {})) == 1


def test_arguments_are_pytests() -> None:
    node = "tests/root/test_cgroup_tree.py::test_numproc_stops_forks_and_counts_them"
    default = machines.MACHINES["debian-13"].tests
    chosen = selection.selection(["-k", "limits or forks", node], default)
    assert chosen == Selection((node,), ("-k", "limits or forks"))
    everything = selection.selection([], default).paths
    assert "tests/system/test_exec.py" in everything
    assert not set(selection.LEFT_OUT) & set(everything)
    assert selection.selection([*selection.LEFT_OUT], default).paths == selection.LEFT_OUT


def test_seconds_come_from_the_last_run(tmp_path: Path) -> None:
    path = record(tmp_path / "1.xml", ("6.12", "", ()), ("6.12", "", ()))
    assert selection.measured([path]) == {"tests/root/test_x.py": 3.0}


def test_the_worst_shard_decides_and_an_empty_one_does_not() -> None:
    def report(code: int | None) -> runner.Report:
        return runner.Report("", Outcome(code=code))

    assert runner.worst([report(0), report(5)]) == 0
    assert runner.worst([report(1), report(0)]) == 1
    assert runner.worst([report(0), report(None)]) == runner.DIED
    assert runner.worst([report(5)]) == 5


def test_the_status_port_tells_a_dead_machine_from_a_failed_test() -> None:
    outcome = Outcome()
    understand("started 3.5\n", outcome)
    assert (outcome.started, outcome.code, outcome.boot_seconds) == (True, None, 3.5)
    understand("started 3.5\nended 1 10.0\n", outcome)
    assert (outcome.code, outcome.command_seconds) == (1, 6.5)


def test_dependencies_are_loaded_first_and_what_is_built_in_is_not(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text(
        "k/virtio.ko:\nk/virtio_ring.ko: k/virtio.ko\nk/virtio_blk.ko: k/virtio_ring.ko k/virtio.ko\nk/other.ko:\n"
    )
    assert load_order(f"{tmp_path}/modules.dep") == ["k/virtio.ko", "k/virtio_ring.ko", "k/virtio_blk.ko"]


def test_the_archive_is_one_that_cpio_reads(tmp_path: Path) -> None:
    archive = Cpio()
    archive.add("folder", 0o040755)
    archive.add("folder/file", 0o100644, b"content")
    (tmp_path / "made.cpio").write_bytes(archive.finish())
    with open(tmp_path / "made.cpio", "rb") as made:
        listed = subprocess.check_output(["busybox", "cpio", "-t"], stdin=made, text=True)
    assert listed.splitlines()[:2] == ["folder", "folder/file"]


def test_a_guest_has_what_the_makefile_asks_of_a_machine() -> None:
    assert {"gcc", "python3-dev", "busybox-static", "nftables", "kmod", "systemd-sysv"} <= set(machines.packages())
