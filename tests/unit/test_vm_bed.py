"""The test bed's own decisions: what runs in which machine, what counts as exercised, what an initrd loads first."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.vm import machines, runner, selection, summary
from tests.vm.__main__ import parser
from tests.vm.boot import Outcome, understand
from tests.vm.initrd import Cpio
from tests.vm.kernel import load_order
from tests.vm.share import turn

pytest_plugins = ["pytester"]

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


def test_shares_are_even_and_lose_nothing() -> None:
    """Also the shares of each case of a test with two, four or three variants."""
    for machines_, stride in ((2, 1), (2, 2), (2, 4), (3, 1), (3, 3)):
        turns = [turn(index, machines_) for index in range(0, 96 * stride, stride)]
        assert set(turns) == set(range(machines_))
        assert {turns.count(one) for one in set(turns)} == {96 // machines_}


def test_pytest_runs_each_test_in_one_share(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.parametrize('n', range(9))\ndef test_it(n): print(f'<{n}>')")
    plugin = ("-p", "no:cacheprovider", "-p", "tests.vm.share", "-s", "-k", "not 8")
    ran = [re.findall(r"<(.)>", str(pytester.runpytest(*plugin, f"--share={k}/2").stdout)) for k in (1, 2)]
    assert ran == [["0", "3", "5", "6"], ["1", "2", "4", "7"]]


def test_one_test_starts_no_idle_machine() -> None:
    node = "tests/root/test_cgroup_tree.py::test_numproc_stops_forks_and_counts_them"
    assert selection.shares(["-x", node], 2) == ["--share=1/1"]
    assert selection.shares(["-x", node, node.partition("::")[0]], 2) == ["--share=1/2", "--share=2/2"]


def test_parts_of_a_run_have_all_tests_together() -> None:
    parts = [selection.shares([], 2, part, 3) for part in (1, 2, 3)]
    assert parts == [["--share=1/6", "--share=2/6"], ["--share=3/6", "--share=4/6"], ["--share=5/6", "--share=6/6"]]
    assert parser().parse_args(["test", "debian-13", "--part=2/4"]).part == (2, 4)
    for wrong in ("0/4", "5/4", "x", "1/", "-1/2"):
        with pytest.raises(SystemExit):
            parser().parse_args(["test", "debian-13", f"--part={wrong}"])


def test_arguments_are_pytests() -> None:
    node = "tests/root/test_cgroup_tree.py::test_numproc_stops_forks_and_counts_them"
    default = machines.MACHINES["debian-13"].tests
    assert selection.arguments(["-k", "limits or forks", node], default) == ["-k", "limits or forks", node]
    left_out = ["--ignore=tests/root/test_image_debian.py"]
    assert selection.arguments(["-x"], default) == ["-m", "not userland", *left_out, "-x", "tests/root", "tests/system"]
    assert selection.arguments([], default, everything=True) == [*left_out, "tests/root", "tests/system"]
    by_name = ["tests/root/test_image_debian.py"]
    assert selection.arguments(by_name, default) == by_name


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
