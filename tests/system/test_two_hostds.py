"""Two installations side by side on one machine, in one network namespace: neither sees the other."""

from collections.abc import Iterator

import pytest

from tests.harness.installation import Vz

pytestmark = pytest.mark.system


@pytest.fixture
def other(vz: Vz) -> Iterator[Vz]:
    installation = Vz(netns=vz.netns)
    yield installation
    left = installation.remove()
    assert not left, left


def test_same_id_twice(vz: Vz, other: Vz) -> None:
    vz.start(101, "--ipadd", "192.0.2.1", "--hostname", "one")
    other.start(101, "--ipadd", "192.0.2.2", "--hostname", "two")
    assert vz.ctl("exec2", "101", "hostname").stdout == "one\n"
    assert other.ctl("exec2", "101", "hostname").stdout == "two\n"
    assert vz.keeper_pid != other.keeper_pid
    vz.ping("192.0.2.1")
    vz.ping("192.0.2.2")


def test_one_ends_the_other_goes_on(vz: Vz, other: Vz) -> None:
    vz.start(101, "--ipadd", "192.0.2.1")
    other.start(101, "--ipadd", "192.0.2.2")
    clock = vz.uptime_clock(101)
    other.kill_both()
    assert other.status(101) == "exist mounted running"
    other.ctl("stop", "101")
    other.ctl("destroy", "101")
    other.stop_hostd()
    assert vz.uptime_clock(101) == clock
    vz.ping("192.0.2.1")


def test_an_address_of_the_other_is_in_use(vz: Vz, other: Vz) -> None:
    vz.start(101, "--ipadd", "192.0.2.1")
    other.create(101, "--ipadd", "192.0.2.1")
    other.ctl("start", "101", check=78)
    vz.ping("192.0.2.1")


def test_only_one_keeper_per_prefix(vz: Vz) -> None:
    """Commands that arrive at once, while no hostd runs, start one."""
    vz.create(101)
    vz.stop_hostd()
    clients = [vz.popen("vzctl", "status", "101") for _ in range(10)]
    for client in clients:
        out, err = client.communicate(timeout=60)
        assert (client.returncode, out, err) == (0, "CTID 101 exist unmounted down\n", "")
    vz.run("hostd", check=7)
