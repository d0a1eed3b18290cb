"""Templates that are unpacked once for a whole run, and lent to the installations of its tests.

Unpacking a Debian takes two seconds, and half a minute on an emulated machine, where it was most of what the tests of
whole distributions took.  That it works has tests of its own; the others get a read-only bind mount of a tree that the
product unpacked for one of them before.
"""

import glob
import os
import shutil
import subprocess

from hostd.config.paths import Paths
from hostd.image import template
from tests.harness import machine

STORE = "VZ_TEST_TREES"  # environment: a prefix that the run's processes share
UNPACKED_EACH_TIME = ("busybox",)  # small, and what the tests of unpacking use
_NAME = "/var/tmp/vzt-trees."  # and the pid of the process that named it


def prepare() -> None:
    """Name the store; in the process that starts the others, which hand it on."""
    if STORE not in os.environ and os.getuid() == 0:
        _sweep()
        os.environ[STORE] = f"{_NAME}{os.getpid()}"


def remove() -> None:
    """Delete the store; in the process that named it."""
    if os.environ.get(STORE) == f"{_NAME}{os.getpid()}":
        shutil.rmtree(os.environ.pop(STORE), ignore_errors=True)


def lend(name: str, tarball: str, to: Paths) -> None:
    """Let the installation *to* find *tarball*, the template called *name*, unpacked already."""
    store = os.environ.get(STORE)
    if store is None or name in UNPACKED_EACH_TIME:
        return
    ours = Paths(store)
    cached = f"{ours.template_cache}/{os.path.basename(tarball)}"
    os.makedirs(ours.template_cache, exist_ok=True)
    if not os.path.lexists(cached):
        _link(tarball, cached)
    tree = template.tree(ours, template.find(ours, name))
    place = f"{to.template_tree}/{os.path.basename(tree)}"
    os.makedirs(to.template_tree, mode=0o700, exist_ok=True)
    os.mkdir(place)
    subprocess.run(["mount", "-o", "bind,ro", tree, place], check=True)


def take_back(installation: Paths) -> None:
    """Unmount what was lent to *installation*, whose containers are down."""
    for place in machine.mounts_below(installation.template_tree):
        subprocess.run(["umount", "--", place], check=True)
        os.rmdir(place)


def _link(tarball: str, path: str) -> None:
    """Two workers may want it at once."""
    os.symlink(os.path.realpath(tarball), f"{path}.{os.getpid()}")
    os.rename(f"{path}.{os.getpid()}", path)


def _sweep() -> None:
    """Stores of runs that were killed.  Nothing is mounted in one."""
    for path in glob.glob(f"{_NAME}*"):
        if not machine.alive(int(path.removeprefix(_NAME))):
            shutil.rmtree(path, ignore_errors=True)
