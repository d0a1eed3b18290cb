"""The terminals for which an inittab has login prompts."""

from vzinit.handoff import terminals

SYSVINIT = """\
id:2:initdefault:
1:2345:respawn:/sbin/getty 38400 tty1
2:23:respawn:/sbin/getty 38400 tty2
#T0:23:respawn:/sbin/getty -L ttyS0 9600 vt100
# 3:23:respawn:/sbin/getty 38400 tty3
4:23:respawn:/sbin/getty 38400 tty64
"""


def test_sysvinit_names_them_behind_getty() -> None:
    assert terminals(SYSVINIT) == {1, 2}


def test_busybox_names_them_first() -> None:
    assert terminals("tty3::respawn:/sbin/getty 38400 tty3\n/dev/tty4::askfirst:-/bin/sh\n") == {3, 4}
    assert terminals("console::respawn:/sbin/getty 38400 console\n") == set()
