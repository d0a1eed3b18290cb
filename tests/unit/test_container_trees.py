"""Unpacked templates go when nobody stands on them any more, and only then."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hostd.config import skeleton
from hostd.config.model import GlobalConfig
from hostd.config.paths import Paths
from hostd.container import trees

OLD, NEWER = "tiny-0123456789abcdef", "tiny-fedcba9876543210"


class Place:
    """An installation with two trees whose tarball is gone."""

    def __init__(self, prefix: Path) -> None:
        self.paths = Paths(str(prefix))
        skeleton.install(self.paths)
        for name in (OLD, NEWER):
            os.makedirs(f"{self.paths.template_tree}/{name}/etc")

    def ct(self, ctid: int, tree: str = "", conf: str = "", private: str = "") -> str:
        """A container on *tree*; without one its private area is empty.  Answers the private area."""
        private = private or self.paths.private_default.replace("$VEID", str(ctid))
        os.makedirs(private)
        if tree:
            Path(private, "layout").write_text(f"overlay {tree} 10485760\n")
        if conf is not None:
            Path(self.paths.ct_conf(ctid)).write_text(conf)
        return private

    def tidied(self, *running: str) -> list[str]:
        """The trees that are left."""
        trees.tidy(self.paths, GlobalConfig.load(self.paths), running)
        return sorted(name for name in os.listdir(self.paths.template_tree) if not name.startswith("."))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "prefix")


def test_what_a_container_stands_on_stays(place: Place) -> None:
    place.ct(101, NEWER)
    assert place.tidied() == [NEWER]


def test_what_a_running_one_has_mounted_stays(place: Place) -> None:
    """Whatever its configuration has become meanwhile."""
    assert place.tidied(f"{place.paths.template_tree}/{OLD}") == [OLD]


def test_a_private_area_elsewhere_counts(place: Place, tmp_path: Path) -> None:
    elsewhere = f"{place.paths.prefix}/disk2/ct/101"
    place.ct(101, OLD, conf=f'VE_PRIVATE="{elsewhere}"\n', private=elsewhere)
    assert place.tidied() == [OLD]


def test_a_private_area_beside_another_counts(place: Place) -> None:
    """A copy, or a container of another host of a cluster: there is no configuration of it here."""
    place.ct(101, OLD)
    os.unlink(place.paths.ct_conf(101))
    elsewhere = f"{place.paths.prefix}/disk2/ct"
    place.ct(102, conf=f'VE_PRIVATE="{elsewhere}/102"\nVE_LAYOUT="simfs"\n', private=f"{elsewhere}/102")
    place.ct(103, NEWER, private=f"{elsewhere}/103")
    os.unlink(place.paths.ct_conf(103))
    assert place.tidied() == [OLD, NEWER]


def test_a_container_whose_configuration_was_put_aside_counts(place: Place) -> None:
    elsewhere = f"{place.paths.prefix}/disk2/ct/101"
    place.ct(101, OLD, conf=f'VE_PRIVATE="{elsewhere}"\n', private=elsewhere)
    os.rename(place.paths.ct_conf(101), place.paths.ct_conf(101) + ".bak")
    assert place.tidied() == [OLD]
    os.rename(place.paths.ct_conf(101) + ".bak", place.paths.ct_conf(101) + ".destroyed")
    assert place.tidied() == []


def missing(place: Place) -> None:
    """The disk it lies on is not mounted."""
    os.rmdir(place.ct(101))


def empty(place: Place) -> None:
    """The same, and the private area is the mount point."""
    place.ct(101)


def damaged(place: Place) -> None:
    Path(place.ct(101), "layout").write_bytes(b"overlay \xff")


def creating(place: Place) -> None:
    Path(place.paths.ct_creating(101)).touch()


def misplaced(place: Place) -> None:
    place.ct(101, conf='VE_PRIVATE="/usr"\n')


@pytest.mark.parametrize("doubt", [missing, empty, damaged, creating, misplaced], ids=lambda doubt: doubt.__name__)
def test_in_doubt_everything_stays(
    place: Place, doubt: Callable[[Place], None], caplog: pytest.LogCaptureFixture
) -> None:
    doubt(place)
    caplog.set_level("INFO")
    assert place.tidied() == [OLD, NEWER]
    (line,) = caplog.messages
    assert line.startswith("unpacked templates stay as they are: ") and "\n" not in line


def link(path: str) -> None:
    os.symlink("/dev/zero", path)


def garbage(path: str) -> None:
    Path(path).write_bytes(os.urandom(9999))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, link, garbage], ids=lambda make: make.__name__)
def test_what_a_guest_calls_a_layout_is_none(place: Place, make: Callable[[str], None]) -> None:
    """The private area of a simfs container is the guest's own."""
    make(f"{place.ct(101, conf='VE_LAYOUT=simfs')}/layout")
    assert place.tidied() == []
