"""Two networked machines: they reach each other, and each is a host of containers."""

from tests.vm.host import Host
from tests.vm.pair import ADDRESSES

COMMANDS = "export PATH=/src/build/bin:$PATH VZ_PREFIX=/srv/vz; "


def test_each_reaches_the_other(hosts: tuple[Host, Host]) -> None:
    for host, other in zip(hosts, reversed(ADDRESSES), strict=True):
        host.run(f"busybox ping -c 3 -W 5 {other}")


def test_a_host_that_is_not_there_does_not_answer(hosts: tuple[Host, Host]) -> None:
    hosts[0].run("busybox ping -c 1 -W 2 192.0.2.3", check=1)


def test_they_are_two_kernels(hosts: tuple[Host, Host]) -> None:
    assert len({host.run("uname -r").stdout for host in hosts}) == 2


def test_hostd_starts_in_both(hosts: tuple[Host, Host]) -> None:
    for host in hosts:
        assert "CTID 101 deleted" in host.run(f"{COMMANDS}vzctl status 101").stdout
        host.run(f"{COMMANDS}hostd --stop")
