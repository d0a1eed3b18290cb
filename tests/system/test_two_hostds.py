"""Two installations side by side on one machine, in one network namespace: neither sees the other."""

import itertools
import os
from collections.abc import Iterator

import pytest

from hostd.config.paths import Paths
from hostd.container import lease
from tests.harness import machine
from tests.harness.installation import TIMEOUT, Vz
from tests.harness.needs import CHECKPOINTS

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


@CHECKPOINTS
def test_user_ids_are_never_shared(vz: Vz) -> None:
    """Two prefixes that begin to look for free ids at the same place."""
    twin = twin_of(vz)
    try:
        vz.start(101)
        twin.start(101)
        twin.start(102)
        bases = [uid_base(vz, 101), uid_base(twin, 101), uid_base(twin, 102)]
        assert len(set(bases)) == 3, bases
        twin.ctl("chkpnt", "101")
        twin.stop_hostd()
        vz.start(102)
        assert uid_base(vz, 102) not in bases, "the ids of a suspended container"
        twin.ctl("restore", "101")
        assert uid_base(twin, 101) == bases[1]
    finally:
        assert not twin.remove()
    links = os.listdir(vz.paths.hostds_dir)
    assert vz.paths.cgroup_root in links and twin.paths.cgroup_root not in links


def twin_of(vz: Vz) -> Vz:
    """An installation whose leases begin where those of *vz* do."""
    wanted = lease.lease(vz.paths.tag, (), ())
    for number in itertools.count():
        prefix = f"{vz.prefix}-{number}"
        if lease.lease(Paths(prefix).tag, (), ()) == wanted:
            os.mkdir(prefix)
            return Vz(netns=vz.netns, prefix=prefix)
    raise AssertionError


def uid_base(vz: Vz, ctid: int) -> int:
    """The id outside of root inside, as the kernel has it."""
    return int(machine.read(f"/proc/{vz.init_pid(ctid)}/uid_map").split()[1])


def test_only_one_keeper_per_prefix(vz: Vz) -> None:
    """Commands that arrive at once, while no hostd runs, start one."""
    vz.create(101)
    vz.stop_hostd()
    clients = [vz.popen("vzctl", "status", "101") for _ in range(10)]
    for client in clients:
        out, err = client.communicate(timeout=TIMEOUT)
        assert (client.returncode, out, err) == (0, "CTID 101 exist unmounted down\n", "")
    vz.run("hostd", check=7)
