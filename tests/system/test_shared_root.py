"""A host whose mounts are shared, as systemd makes them: containers start, and share none with it."""

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import CHECKPOINTS

pytestmark = pytest.mark.system

# Everything in one mount namespace: it ends with the script and hostd.  What it lets go of stays on a host that shares.
SCRIPT = f"""
{machine.LET_GO}
set -e
mount --make-rshared /
vzctl --quiet start 101
vzctl exec2 101 'mkdir -p /tmp/m && mount -t tmpfs inside /tmp/m && grep -c shared: /proc/self/mountinfo || true'
grep -c " - tmpfs inside" /proc/self/mountinfo || true
vzctl exec2 101 umount /tmp/m
vzctl --quiet chkpnt 101
vzctl --quiet restore 101
vzctl exec2 101 echo back
vzctl --quiet stop 101 --fast
hostd --stop
"""


@CHECKPOINTS
@pytest.mark.parametrize("layout", ["overlay", "simfs"])
def test_nothing_is_shared_with_a_host_that_shares(vz: Vz, layout: str) -> None:
    vz.create(101, "--layout", layout)
    vz.stop_hostd()
    done = vz.run("unshare", "-m", "--propagation", "private", "sh", "-c", SCRIPT, check=None)
    assert (done.code, done.stdout.split()) == (0, ["0", "0", "back"]), done
