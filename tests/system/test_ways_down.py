"""Every program that a distribution has for it ends its container, or begins it again: the real ones, as they ship."""

import pytest

from tests.harness.installation import Vz

pytestmark = [pytest.mark.system, pytest.mark.slow]

IMAGES = ("busybox", "debian-12", "debian-13", "debian-12-sysvinit", "debian-13-sysvinit")
AGAIN = ("reboot", "reboot -f", "shutdown -r now", "init 6", "telinit 6")
DOWN = ("halt", "poweroff", "halt -p", "poweroff -f", "shutdown -h now", "init 0")
MISSING = {"busybox": ("shutdown -r now", "init 6", "telinit 6", "halt -p", "shutdown -h now", "init 0")}


def ways(image: str, all_of_them: tuple[str, ...]) -> list[str]:
    return [way for way in all_of_them if way not in MISSING.get(image, ())]


@pytest.mark.parametrize("image", IMAGES)
def test_every_reboot_comes_back(vz: Vz, image: str) -> None:
    vz.start(101, "--ipadd", "192.0.2.101", template=image)
    for way in ways(image, AGAIN):
        before = vz.uptime_clock(101)
        vz.ctl("exec", "101", way, check=None)
        vz.wait_reboot(101, before)
    vz.ping("192.0.2.101")


@pytest.mark.parametrize("image", IMAGES)
def test_every_end_is_an_end(vz: Vz, image: str) -> None:
    vz.create(101, template=image)
    for way in ways(image, DOWN):
        vz.ctl("start", "101")
        vz.ctl("exec", "101", way, check=None)
        vz.wait_status(101, "exist unmounted down")
