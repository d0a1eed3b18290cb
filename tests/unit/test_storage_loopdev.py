"""Which loop device has an image, as far as that needs no device."""

import errno
import os
from pathlib import Path

import pytest

from hostd.errors import Failure
from hostd.kernel import loop
from hostd.kernel.fd import Fd
from hostd.storage import loopdev


class Devices:
    """Loop devices by their numbers, with the path of the file behind each; None: with none."""

    def __init__(self, sysfs: Path) -> None:
        self._sysfs = sysfs
        self.files: dict[int, str | None] = {}
        self.trouble: OSError | None = None

    def put(self, number: int, file: str | None) -> None:
        self.files[number] = file
        (self._sysfs / f"loop{number}" / ("loop" if file else "queue")).mkdir(parents=True)

    def backing(self, device: str) -> tuple[int, int] | None:
        file = self.files.get(int(device.removeprefix("/dev/loop")))
        return identity(file) if file else None

    def open(self, path: str, _mode: int, _device: int, _access: int) -> Fd:
        if self.trouble is not None:
            raise self.trouble
        return Fd.open("/dev/null", os.O_RDONLY)

    def attach(self, image: str) -> loop.Loop:
        number = max(self.files, default=0) + 1
        self.put(number, image)
        return loop.Loop(number, Fd.open("/dev/null", os.O_RDONLY))


def identity(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Devices:
    (tmp_path / "sysfs/vda/queue").mkdir(parents=True)
    found = Devices(tmp_path / "sysfs")
    monkeypatch.setattr(loop, "BLOCK_DEVICES", str(tmp_path / "sysfs"))
    monkeypatch.setattr(loop, "_open_node", found.open)
    monkeypatch.setattr(loop, "backing", found.backing)
    monkeypatch.setattr(loopdev, "_attach", found.attach)
    return found


@pytest.fixture
def private(tmp_path: Path) -> str:
    (tmp_path / "101").mkdir()
    (tmp_path / "101/disk.img").write_bytes(b"image")
    (tmp_path / "other.img").write_bytes(b"image")
    return str(tmp_path / "101")


def test_an_image_that_somebody_else_has_attached_is_refused(devices: Devices, private: str) -> None:
    """Under another name, and however many devices there are."""
    image = f"{private}/disk.img"
    os.link(image, f"{private}/another name")
    devices.put(0, f"{os.path.dirname(private)}/other.img")
    devices.put(1, None)
    with loopdev.attached(private, image) as device:
        assert device == "/dev/loop2"
    os.unlink(f"{private}/loop")
    devices.files[2] = f"{private}/another name"
    with pytest.raises(Failure, match="is attached to /dev/loop2: ") as refused:
        loopdev.attached(private, image).__enter__()
    assert refused.value.exit_code == 50 and "/dev/loop2" in refused.value.hint
    assert len(devices.files) == 3


def test_the_device_of_the_note_is_taken_again(devices: Devices, private: str) -> None:
    image = f"{private}/disk.img"
    with loopdev.attached(private, image) as device:
        before = identity(f"{private}/loop")
        with loopdev.attached(private, image) as again:
            assert again == device
    assert identity(f"{private}/loop") == before, "the note says it already"
    assert sorted(os.listdir(private)) == ["disk.img", "loop"]


def test_what_cannot_be_told_is_not_no(devices: Devices, private: str) -> None:
    image = f"{private}/disk.img"
    with loopdev.attached(private, image):
        devices.trouble = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        with pytest.raises(OSError, match="Too many open files"), loopdev.attached(private, image):
            pytest.fail("attached again")
        loopdev.forget(private, image)  # best effort
    assert list(devices.files) == [1]


@pytest.mark.parametrize("note", ["", "1\n", "nonsense", "99\n"])
def test_a_note_without_its_device(devices: Devices, private: str, note: str) -> None:
    devices.put(1, f"{os.path.dirname(private)}/other.img")
    Path(private, "loop").write_text(note)
    assert not loopdev.in_use(private, f"{private}/disk.img")
    with loopdev.attached(private, f"{private}/disk.img") as device:
        assert device == "/dev/loop2"
    assert Path(private, "loop").read_text() == "2\n"


def test_a_full_disk_costs_no_note(devices: Devices, private: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(private, "loop").write_text("7\n")

    def full(*_: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OSError, match="No space left"), loopdev.attached(private, f"{private}/disk.img"):
        pytest.fail("unnoted")
    assert Path(private, "loop").read_text() == "7\n"


def test_a_number_without_a_device_has_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> Fd:
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))

    monkeypatch.setattr(loop, "_open_node", missing)
    with pytest.raises(FileNotFoundError, match="no file"):
        loop.open_loop(99)
