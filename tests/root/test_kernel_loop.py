"""Loop devices on small files."""

import os
from pathlib import Path

import pytest

from hostd.kernel import loop
from hostd.kernel.fd import Fd
from tests.harness import machine

pytestmark = pytest.mark.root

SIZE = 1 << 20


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "disk.img"
    path.write_bytes(b"start".ljust(512, b"\0"))
    os.truncate(path, SIZE)
    return str(path)


def identity(image: str) -> tuple[int, int]:
    found = os.stat(image)
    return found.st_dev, found.st_ino


def test_the_device_shows_the_file_and_goes(image: str) -> None:
    device = loop.attach(image)
    try:
        assert os.pread(device.fd.fileno(), 5, 0) == b"start"
        assert os.lseek(device.fd.fileno(), 0, os.SEEK_END) == SIZE
        assert machine.loops_below(os.path.dirname(image)) == [os.path.basename(device.path)]
    finally:
        device.detach()
    # With the last who has it open: a start of another installation asks every device what is behind it.
    machine.until("it has gone", lambda: not machine.loops_below(os.path.dirname(image)))


def test_writes_reach_the_file(image: str) -> None:
    device = loop.attach(image, direct_io=False)
    try:
        assert not device.direct_io
        os.pwrite(device.fd.fileno(), b"other", 0)
        os.fsync(device.fd.fileno())
    finally:
        device.detach()
    assert Path(image).read_bytes()[:5] == b"other"


def test_read_only(image: str) -> None:
    device = loop.attach(image, read_only=True)
    try:
        with Fd.open(device.path, os.O_WRONLY) as writer, pytest.raises(PermissionError):
            os.pwrite(writer.fileno(), b"other", 0)
    finally:
        device.detach()


def test_autoclear_ends_with_its_last_user(image: str) -> None:
    device = loop.attach(image, autoclear=True)
    number = device.number
    device.fd.close()
    # The kernel clears it in the close of the last who has it open (lo_release in drivers/block/loop.c), and that need
    # not be ours: udev probes every new device, and whoever looks for an image opens them all (`backing`, losetup).
    machine.until("the last user has closed it", lambda: loop.backing(f"/dev/loop{number}") != identity(image))
    machine.until("it has gone", lambda: not machine.loops_below(os.path.dirname(image)))


def test_an_attached_device_is_found_again(image: str) -> None:
    device = loop.attach(image)
    try:
        again = loop.open_loop(device.number)
        assert again.path == device.path
        again.fd.close()
    finally:
        device.detach()
    machine.until("it is let go", lambda: not is_found(device.number, image))


def is_found(number: int, image: str) -> bool:
    """Somebody else may have taken the number meanwhile."""
    try:
        device = loop.open_loop(number)
    except FileNotFoundError as error:
        assert "no file" in str(error)
        return False
    with device.fd:
        return loop.backing(device.path) == identity(image)


def test_whoever_attached_a_file_its_device_is_found(image: str) -> None:
    file = identity(image)
    assert loop.device_of(file) is None
    os.link(image, f"{image}.link")
    device = loop.attach(f"{image}.link")
    try:
        assert loop.device_of(file) == device.path
    finally:
        device.detach()
    machine.until("it is let go", lambda: loop.device_of(file) is None)


def test_a_missing_node_is_made(image: str) -> None:
    device = loop.attach(image)
    number = os.stat(device.path).st_rdev
    try:
        os.unlink(device.path)
        loop.open_loop(device.number).fd.close()
        assert os.stat(device.path).st_rdev == number
    finally:
        device.detach()


def test_a_missing_control_node_is_made(image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody makes it before the driver is loaded, where neither udev nor systemd is; opening it loads the driver."""
    control = tmp_path / "loop-control"
    monkeypatch.setattr(loop, "CONTROL_PATH", str(control))
    device = loop.attach(image)
    device.detach()
    assert os.stat(control).st_rdev == loop.CONTROL


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        loop.attach(str(tmp_path / "nowhere.img"))
