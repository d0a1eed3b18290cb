"""The escape battery once more, in a container that may have others inside; and what that gives it beside."""

import re
from collections.abc import Iterator

import pytest

from hostd.container import lease
from tests.harness import machine
from tests.harness.escape import Guest
from tests.system import test_escape
from tests.system.test_escape import DENIED, pytestmark

__all__ = ["pytestmark"]
# The same tests, for the `guest` of this module.
globals().update({name: test for name, test in vars(test_escape).items() if name.startswith("test_")})


@pytest.fixture(scope="module")
def guest() -> Iterator[Guest]:
    yield from test_escape.kept_in("--features", "nesting:on")


WHOLE = (
    "proc/sys/kernel/core_pattern", "proc/sys/vm/drop_caches", "proc/sys/kernel/modprobe", "sys/kernel/uevent_helper",
)  # fmt: skip


@pytest.mark.parametrize("file", WHOLE)
@pytest.mark.parametrize("shell", ["sh", "unshare -Urm sh"], ids=["root", "nested-root"])
def test_41_whole_mounts_hold_nothing_of_the_host(guest: Guest, file: str, shell: str) -> None:
    done = guest.sh(f"{shell} -c 'echo 1 >/dev/.lxc/{file}'")
    assert done.code != 0 and re.search(f"{DENIED}|nonexistent|cannot create", done.stderr), done


def test_42_a_tap_device_stays_at_home(guest: Guest) -> None:
    assert guest.sh("ip tuntap add dev vzt-tap mode tap && ip link show vzt-tap").code == 0
    assert "vzt-tap" not in guest.vz.ip("link") and "vzt-tap" not in machine.read("/proc/net/dev")
    assert guest.sh("unshare -Ur ip tuntap add dev vzt-more mode tap").code != 0, "whose network it is not"
    guest.sh("ip link del vzt-tap")


def test_43_the_last_of_its_ids_is_its_own(guest: Guest) -> None:
    """Whoever takes it is on the host nobody that another container has; behind it there is none to take."""
    last = lease.NESTING - 1
    assert guest.sh(f"setpriv --reuid {last} --clear-groups sleep 60 >/dev/null 2>&1 &").code == 0
    base = int(guest.sh("cat /proc/self/uid_map").stdout.split()[1])
    machine.until("it runs", lambda: base + last in uids(guest))
    assert guest.sh(f"setpriv --reuid {last + 1} --clear-groups true").code != 0


def uids(guest: Guest) -> set[int]:
    """Of its processes, as the host numbers them."""
    groups = [path for path in machine.cgroups_named(guest.vz.paths.cgroup_root) if "101" in path.split("/")]
    pids = {pid for path in groups for pid in machine.cgroup_pids(path)}
    found = [re.search(r"^Uid:\t(\d+)", machine.read(f"/proc/{pid}/status"), re.MULTILINE) for pid in pids]
    return {int(match[1]) for match in found if match}
