"""Fd: closed exactly once, by whoever owns the number."""

import fcntl
import os

import pytest

from hostd.kernel.fd import Fd
from tests.harness.machine import is_open


def a_file() -> Fd:
    return Fd.open("/dev/null", os.O_RDWR)


def test_closes_at_the_end_of_with() -> None:
    with a_file() as fd:
        number = fd.fileno()
        assert is_open(number)
    assert not is_open(number)
    with pytest.raises(ValueError, match="descriptor is closed: /dev/null"):
        fd.fileno()


def test_closes_with_its_last_reference() -> None:
    number = a_file().fileno()
    assert not is_open(number)


def test_closing_twice_spares_the_next_owner_of_the_number() -> None:
    fd = a_file()
    number = fd.fileno()
    fd.close()
    with a_file() as other:
        assert other.fileno() == number
        fd.close()
        assert is_open(number)


def test_a_stolen_number_stays_open() -> None:
    fd = a_file()
    number = fd.steal()
    del fd
    assert is_open(number)
    os.close(number)


def test_a_closed_one_says_what_it_was() -> None:
    fd = a_file()
    fd.close()
    with pytest.raises(ValueError, match="/dev/null"):
        fd.fileno()


def test_refuses_an_error_code() -> None:
    with pytest.raises(ValueError, match="-1"):
        Fd(-1)


def test_opens_and_duplicates_close_on_exec() -> None:
    with a_file() as fd, fd.dup() as copy:
        assert copy.fileno() != fd.fileno()
        for one in (fd, copy):
            assert fcntl.fcntl(one.fileno(), fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_path_leads_to_the_file() -> None:
    with a_file() as fd:
        assert os.path.realpath(fd.path) == "/dev/null"


def test_opens_relative_to_a_directory(tmp_path: object) -> None:
    with Fd.open(str(tmp_path), os.O_RDONLY | os.O_DIRECTORY) as dir:
        Fd.open("file", os.O_CREAT | os.O_WRONLY, 0o600, dir=dir).close()
    assert os.listdir(str(tmp_path)) == ["file"]
