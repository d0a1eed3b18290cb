"""An image that is attached already, and not by us."""

import os
import subprocess
from pathlib import Path

import pytest

from hostd.errors import Failure
from hostd.kernel import loop
from hostd.kernel.fd import Fd
from hostd.storage import loopdev, overlay
from hostd.storage.base import StorageSpec
from hostd.storage.overlay import Overlay
from tests.harness import machine
from tests.harness.needs import needs
from tests.harness.storage_box import SPACE_KIB, mounted, size_kib

pytestmark = [pytest.mark.root, needs("loop", "idmap-ext4", "overlay-idmapped")]


def test_an_image_that_somebody_else_has_attached_is_not_attached_again(
    spec: StorageSpec, ids: Fd, tmp_path: Path
) -> None:
    """`mount -o loop disk.img`, to rescue a file, and forgotten: also where the note leads to another device."""
    layout = Overlay()
    layout.create(spec)
    image = os.path.join(spec.private, overlay.IMAGE)
    theirs = subprocess.check_output(["losetup", "-f", "--show", image], text=True).strip()
    try:
        for note in ("", "0\n" if theirs != "/dev/loop0" else "1\n"):
            Path(spec.private, loopdev.NOTE).write_text(note)
            with pytest.raises(Failure, match=f"is attached to {theirs}:") as refused:
                layout.open(spec, ids)
            assert refused.value.exit_code == 50
            with pytest.raises(Failure, match=f"is attached to {theirs}:"):
                layout.resize(spec._replace(diskspace_kib=SPACE_KIB * 2))
        devices = subprocess.check_output(["losetup", "-n", "-O", "NAME", "-j", image], text=True)
        assert devices.split() == [theirs]
    finally:
        subprocess.run(["losetup", "-d", theirs], check=True)
    machine.until("it is let go", lambda: loop.backing(theirs) is None)
    with mounted(layout, spec, ids, tmp_path / "root") as root:
        assert size_kib(root) == SPACE_KIB
