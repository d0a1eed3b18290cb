"""A resize that fails, on real images: what is mounted afterwards is known to be sound."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hostd.container import host_side
from hostd.errors import Exit, Failure
from hostd.storage import ext4image, loopdev
from hostd.storage.base import StorageSpec
from hostd.storage.ext4image import Geometry
from hostd.storage.overlay import IMAGE, Note, Overlay

KIB = 16384
Run = Callable[[list[str], int], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StorageSpec:
    """An area with a disk of `KIB`, of which twice as much is wanted."""
    private = tmp_path / "private"
    private.mkdir()
    ext4image.format_image(str(private / IMAGE), Geometry(KIB, 500), str(tmp_path))
    Note("tree", KIB).write(str(private))
    monkeypatch.setattr(loopdev, "refuse_attached", lambda _image: None)
    return StorageSpec(101, str(private), "overlay", None, 2 * KIB)


def debugfs(spec: StorageSpec, command: str) -> str:
    """Ask the image for something, or spoil it."""
    argv = ["debugfs", "-w", "-R", command, f"{spec.private}/{IMAGE}"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def state(spec: StorageSpec) -> str:
    return next(line for line in debugfs(spec, "stats -h").splitlines() if line.startswith("Filesystem state"))


def failing(real: Run, program: str, spoil: Callable[[], object], code: int) -> Run:
    """*program* ends with *code*, after *spoil*."""

    def run(argv: list[str], lock: int) -> "subprocess.CompletedProcess[str]":
        if argv[0] != program:
            return real(argv, lock)
        spoil()
        return subprocess.CompletedProcess(argv, code, "No space left on device\n")

    return run


def test_a_damaged_disk_is_not_started_from(spec: StorageSpec) -> None:
    """Neither now nor when the size that it has is wanted again."""
    debugfs(spec, "clri <2>")
    for wanted in (spec, spec._replace(diskspace_kib=KIB)):
        with pytest.raises(Failure, match="is damaged: run e2fsck -f on it") as refused:
            host_side._fit(Overlay(), wanted)
        assert refused.value.exit_code == Exit.FS_CANTMOUNT
        assert Note.read(spec.private) == Note("tree", KIB, resizing=True)
    subprocess.run(["e2fsck", "-f", "-y", f"{spec.private}/{IMAGE}"], stdout=subprocess.DEVNULL)
    assert host_side._fit(Overlay(), spec) == ()
    assert Note.read(spec.private) == Note("tree", 2 * KIB)


def test_an_aborted_resize_is_checked_before_the_next_mount(
    spec: StorageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """resize2fs leaves the state that it began with: that of a file system with errors."""
    broken = failing(ext4image._run_locked, "resize2fs", lambda: debugfs(spec, "ssv state 2"), 1)
    monkeypatch.setattr(ext4image, "_run_locked", broken)
    (warning,) = host_side._fit(Overlay(), spec)
    assert "No space left on device; the disk keeps its size" in warning
    assert Note.read(spec.private) == Note("tree", KIB)
    assert state(spec).split(":")[1].strip() == "clean"


def test_one_that_has_done_damage_keeps_the_mark(spec: StorageSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = failing(ext4image._run_locked, "resize2fs", lambda: debugfs(spec, "clri <2>"), 1)
    monkeypatch.setattr(ext4image, "_run_locked", broken)
    with pytest.raises(Failure, match="is damaged") as refused:
        Overlay().resize(spec)
    assert refused.value.exit_code == Exit.RESOURCE
    assert Note.read(spec.private).resizing


@pytest.mark.parametrize("code", [-9, 8])
def test_what_could_not_be_checked_is_not_taken_for_sound(
    spec: StorageSpec, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ext4image, "_run_locked", failing(ext4image._run_locked, "e2fsck", lambda: None, code))
    text = f"cannot be checked: e2fsck ended with {code}: No space left on device"
    with pytest.raises(Failure, match=text) as refused:
        host_side._fit(Overlay(), spec)
    assert refused.value.exit_code == Exit.FS_CANTMOUNT
    assert Note.read(spec.private).resizing


def test_what_does_not_fit_is_a_warning(spec: StorageSpec) -> None:
    data = Path(spec.private, "data")
    data.write_bytes(b"data" * (3 << 20))
    debugfs(spec, f"write {data} data")
    (warning,) = host_side._fit(Overlay(), spec._replace(diskspace_kib=8192))
    assert "the disk keeps its size" in warning
    assert Note.read(spec.private) == Note("tree", KIB)
