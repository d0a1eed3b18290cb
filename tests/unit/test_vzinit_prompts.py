"""The terminals for which an image has login prompts."""

from vzinit.prompts import of_inittab, of_services

SYSVINIT = """\
id:2:initdefault:
1:2345:respawn:/sbin/getty 38400 tty1
2:23:respawn:/sbin/getty 38400 tty2
#T0:23:respawn:/sbin/getty -L ttyS0 9600 vt100
# 3:23:respawn:/sbin/getty 38400 tty3
4:23:respawn:/sbin/getty 38400 tty64
"""


def test_sysvinit_names_them_behind_getty() -> None:
    assert of_inittab(SYSVINIT) == {1, 2}


def test_busybox_names_them_first() -> None:
    assert of_inittab("tty3::respawn:/sbin/getty 38400 tty3\n/dev/tty4::askfirst:-/bin/sh\n") == {3, 4}
    assert of_inittab("console::respawn:/sbin/getty 38400 console\n") == set()


def test_runit_and_openrc_name_services_after_them() -> None:
    assert of_services(["ssh", "getty-tty2", "agetty-tty3", "getty-ttyS0", ".getty-tty4", "agetty.tty5"]) == {2, 3, 5}
    assert of_services(["my-agetty-tty1", "getty"]) == set()
