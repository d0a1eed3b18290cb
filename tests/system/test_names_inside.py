"""What a container is called, and that its own name resolves inside (sudo and mail servers want that)."""

import pytest

from tests.harness.installation import Vz

pytestmark = pytest.mark.system


def hosts(vz: Vz) -> list[str]:
    return vz.ctl("exec2", "101", "cat /etc/hosts").stdout.splitlines()


def test_the_default_name_resolves(vz: Vz) -> None:
    vz.start(101)
    assert vz.ctl("exec2", "101", "hostname").stdout == "ct101\n"
    assert hosts(vz)[0] == "127.0.0.1 localhost"
    assert hosts(vz)[-1] == "127.0.1.1 ct101 # vzhost"


def test_only_our_lines_change(vz: Vz) -> None:
    """What the container's owner wrote stays, over a change of the name and a restart."""
    vz.start(101, "--ipadd", "192.0.2.5")
    vz.ctl("exec2", "101", "echo 203.0.113.9 elsewhere >>/etc/hosts")
    vz.ctl("set", "101", "--hostname", "one.example.org", "--save")
    for _ in range(2):
        assert [line for line in hosts(vz) if "localhost" not in line] == [
            "203.0.113.9 elsewhere",
            "127.0.1.1 one.example.org one # vzhost",
            "192.0.2.5 one.example.org one # vzhost",
        ]
        vz.ctl("restart", "101")


@pytest.mark.slow
def test_names_resolve_with_glibc(vz: Vz) -> None:
    vz.start(101, template="debian-12")
    assert vz.ctl("exec2", "101", "getent hosts $(hostname)").stdout.split()[1:] == ["ct101"]
    vz.ctl("set", "101", "--hostname", "deb.example.org", "--save")
    assert vz.ctl("exec2", "101", "hostname --fqdn").stdout == "deb.example.org\n"
