"""--features nesting:on: podman inside, as root and as a user, whatever is PID 1; and that it is this that does it.

Its images come from no registry: the root file system is that of the busybox template.
"""

import os
import subprocess

import pytest

from hostd.container import lease
from tests.harness import machine
from tests.harness.installation import CACHE, Result, Vz
from tests.harness.needs import CHECKPOINTS, needs
from tests.harness.patience import patient

pytestmark = [pytest.mark.system, pytest.mark.slow, needs("userns", "seccomp", "device-filter")]

PLENTY = patient(180.0)
# On a host with cgroup v1 the tree that a container sees has no controllers: podman's own limit of processes cannot be.
NO_LIMITS = "printf '[containers]\\npids_limit = 0\\n' >/etc/containers/containers.conf"
USERS_STORAGE = """\
install -d -o owner /home/owner/.config /home/owner/.config/containers
cat >/home/owner/.config/containers/storage.conf <<'CONF'
[storage]
driver = "overlay"
[storage.options.overlay]
mount_program = "/usr/bin/fuse-overlayfs"
CONF
"""
RUN = "podman --log-level=error run --rm"


class Ship:
    """A container that carries others."""

    def __init__(self, vz: Vz, init: str, features: str = "nesting:on") -> None:
        self.vz = vz
        vz.create(101, "--init", init, "--ipadd", "192.0.2.1", "--diskspace", "2G", template="debian-12-tools")
        if features:
            vz.ctl("set", "101", "--features", features, "--save")
        vz.ctl("start", "101", "--wait")
        self.load()

    def load(self) -> None:
        """An image for podman of root, and a user with the subordinate ids that useradd gives him."""
        source = os.path.realpath(f"{CACHE}/busybox-{os.uname().machine}.tar.zst")  # zstd reads no links
        with subprocess.Popen(["zstd", "-dc", source], stdout=subprocess.PIPE) as tar:
            argv = ["nsenter", f"--net=/run/netns/{self.vz.netns}", "vzctl", "exec2", "101", "cat >/srv/busybox.tar"]
            subprocess.run(argv, env=self.vz.env, stdin=tar.stdout, check=True, timeout=PLENTY)
        assert tar.returncode == 0
        self.sh(f"{NO_LIMITS} && useradd -m -s /bin/bash owner && {USERS_STORAGE}")
        self.sh("podman import -q /srv/busybox.tar box")

    def sh(self, script: str, check: int | None = 0) -> str:
        """What root's shell prints."""
        return self.ask(script, check).stdout

    def ask(self, script: str, check: int | None = None) -> Result:
        return self.vz.ctl("exec2", "101", "-", input=script, check=check, timeout=PLENTY)

    def owner(self, script: str, check: int | None = 0) -> str:
        """What the shell of a login of the user prints."""
        return self.sh(f"su - owner <<'OWNER'\n{script}\nOWNER\n", check)


@pytest.fixture(params=["vz", "handoff"])
def ship(vz: Vz, request: pytest.FixtureRequest) -> Ship:
    return Ship(vz, request.param)


def test_containers_of_root(ship: Ship) -> None:
    """Alone, on a bridge, and one that goes on by itself."""
    assert ship.sh(f"{RUN} --network=none box echo hi") == "hi\n"
    assert "fuse-overlayfs / fuse" in ship.sh(f"{RUN} --network=none box cat /proc/mounts")
    assert ship.sh(f"{RUN} --network=none box sh -c 'ls -d /proc/[0-9]* && echo $$'").split()[-1] == "1"
    assert ship.sh(f"{RUN} --privileged --network=none box ls /dev/fuse") == "/dev/fuse\n"
    ship.sh("podman run -d --name web --ip 10.88.0.7 box sh -c 'echo ready; exec nc -l -p 80 -e echo ahoy'")
    machine.until("it serves", lambda: ship.sh("podman logs web", None) == "ready\n")
    assert ship.sh("podman exec web ip -4 -o address show dev eth0").split()[3] == "10.88.0.7/16"
    assert ship.sh(f"{RUN} box nc 10.88.0.7 80 </dev/null") == "ahoy\n", "from one to the other"
    ship.sh("podman rm -f -t 0 web && podman run -d --name web box sleep 1000")
    assert ship.sh("podman exec web echo inside") == "inside\n"
    assert ship.sh("podman ps --format '{{.Names}}'") == "web\n"
    ship.sh("podman stop -t 1 web && podman rm web")
    assert ship.sh("podman ps -aq") == ""


def test_containers_of_a_user(ship: Ship) -> None:
    """With ids of his own, a storage of FUSE's and a network of slirp4netns'."""
    assert ship.sh("cat /etc/subuid") == "owner:100000:65536\n"
    ship.owner("podman import -q /srv/busybox.tar box")
    mapped = ship.owner(f"{RUN} --network=none box cat /proc/self/uid_map")
    assert mapped.split() == ["0", "1000", "1", "1", "100000", "65536"]
    assert "fuse-overlayfs / fuse" in ship.owner(f"{RUN} --network=none box cat /proc/mounts")
    assert ship.owner(f"{RUN} --network=none --user 33 box id -u") == "33\n"
    assert "tap0" in ship.owner(f"{RUN} box ip -o address")
    assert ship.owner(f"{RUN} --privileged box sh -c 'mount -t sysfs s /mnt && ls /mnt/class/net/tap0/mtu'") != ""
    ship.owner("podman run -d --name web box sh -c 'echo ready; exec sleep 1000'")
    assert ship.owner("podman exec web echo inside") == "inside\n"
    machine.until("it is ready", lambda: ship.owner("podman logs web", None) == "ready\n")
    ship.owner("podman stop -t 1 web && podman rm web")
    ship.owner(f"{RUN} -v /home/owner:/mnt --network=none box sh -c 'touch /mnt/of33; chown 33 /mnt/of33'")
    assert ship.sh("stat -c %u /home/owner/of33") == "100032\n"


def test_the_feature_makes_the_difference(vz: Vz) -> None:
    """Without: no device, no ids.  With it, but without the whole proc: no proc for those who have ids of their own."""
    ship = Ship(vz, "vz", "")
    as_owner = f"su - owner -c '{RUN} --network=none box echo hi'"
    refused = ship.ask(f"{RUN} --network=none box echo hi")
    assert refused.code and "fuse: device not found" in refused.stderr
    refused = ship.ask(as_owner)
    assert refused.code and "newuidmap: write to uid_map failed: Operation not permitted" in refused.stderr
    assert ship.sh("ls -d /dev/fuse /dev/net /dev/.lxc 2>/dev/null", None) == ""

    assert "takes effect after a restart" in vz.ctl("set", "101", "--features", "nesting:on", "--save").stdout
    vz.ctl("restart", "101")
    assert ship.sh(f"{RUN} --network=none box echo hi") == "hi\n"
    ship.owner("podman import -q /srv/busybox.tar box && podman system migrate")
    refused = ship.ask(f"unshare -m sh <<'END'\numount /dev/.lxc/proc; {as_owner}\nEND\n")
    assert refused.code and "mount `proc` to `proc`: Operation not permitted" in refused.stderr
    ship.owner("podman system migrate")
    assert ship.sh(as_owner) == "hi\n"
    assert ship.owner("ls /dev/.lxc", None) == "", "nobody's to look at"


def test_the_devices_alone(vz: Vz) -> None:
    vz.create(101)
    vz.ctl("set", "101", "--features", "fuse:on,tun:off", "--save")
    vz.ctl("start", "101")
    found = vz.ctl("exec2", "101", "cd /dev; ls -d fuse net .lxc 2>/dev/null; cat /proc/self/uid_map; : <>fuse")
    assert found.stdout.split()[0] == "fuse" and found.stdout.split()[1::2] == ["0", str(lease.RANGE)], found
    vz.ctl("set", "101", "--features", "fuse:off,tun:on", "--save", "--setmode", "restart")
    assert vz.ctl("exec2", "101", "cd /dev; ls -d fuse net/tun 2>/dev/null; : <>net/tun").stdout == "net/tun\n"


def test_what_is_said_and_shown(vz: Vz) -> None:
    vz.create(101)
    said = vz.ctl("set", "101", "--features", "nfs:on,nesting:on", "--save")
    assert "Warning: --features nfs is stored, and not enforced yet\n" in said.stdout
    assert 'FEATURES="nfs:on nesting:on"\n' in machine.read(vz.paths.ct_conf(101))
    vz.ctl("set", "101", "--features", "nfs:off", "--save")
    assert vz.vzlist("-aHo", "features").strip() == "nfs:off,nesting:on"
    refused = vz.ctl("set", "101", "--features", "nest:on", "--save", check=21)
    assert refused.stderr.startswith("Bad parameter for --features: nest:on") and "nest is unknown" in refused.stderr
    vz.ctl("start", "101")
    refused = vz.ctl("set", "101", "--features", "nesting:off", check=32)
    assert refused.stderr == "Unable to change --features of a running container (use --save)\n"


@CHECKPOINTS
def test_a_checkpoint(ship: Ship) -> None:
    """Refused in a line while there are containers, or rules that cannot be loaded again; else it comes back whole."""
    vz = ship.vz

    def refusal() -> str:
        said = vz.ctl("chkpnt", "101", check=16).stderr
        assert ship.sh("echo alive") == "alive\n"
        return said

    ship.sh("podman run -d --network=none --name web box sleep 1000")
    assert refusal().startswith("Checkpointing failed: fuse.fuse-overlayfs is mounted on ")
    ship.sh("podman rm -f -t 0 web")
    ship.sh(f"{RUN} box true")
    assert "netfilter rules of iptables-nft that nft cannot load (" in refusal()
    ship.sh("iptables -F; iptables -t nat -F; iptables -t nat -X; iptables -X")
    ship.owner(f"podman import -q /srv/busybox.tar box && {RUN} --network=none box true")
    assert "in a nested user namespace" in refusal(), "podman keeps a process for the next container"
    ship.owner("podman system migrate")
    ids = ship.sh("cat /proc/self/uid_map")
    for _ in range(2):
        vz.ctl("chkpnt", "101", timeout=PLENTY)
        vz.ctl("restore", "101", timeout=PLENTY)
    assert ship.sh("cat /proc/self/uid_map") == ids and ids.split()[2] == str(lease.NESTING)
    assert ship.sh(f"{RUN} box echo hi") == "hi\n"
    assert ship.owner(f"{RUN} --network=none box echo hi") == "hi\n"


def ids_of(vz: Vz, ctid: int) -> range:
    """The ids of the host that it has."""
    _, first, count = vz.ctl("exec2", str(ctid), "cat /proc/self/uid_map").stdout.split()
    return range(int(first), int(first) + int(count))


def test_ids_are_nobody_elses(vz: Vz) -> None:
    """Neighbours begin behind the last of them, for the next hostd too; on the disk they wait for the feature."""
    for ctid in (101, 102):
        vz.create(ctid)
    vz.ctl("set", "101", "--features", "nesting:on", "--save")
    for ctid in (101, 102):
        vz.ctl("start", str(ctid))
    ours, others = ids_of(vz, 101), ids_of(vz, 102)
    assert (len(ours), len(others)) == (lease.NESTING, lease.RANGE) and others.start not in ours
    vz.kill_both()
    vz.ctl("stop", "102")
    vz.ctl("start", "102")
    assert ids_of(vz, 101) == ours and ids_of(vz, 102).start not in ours
    clock = vz.uptime_clock(101)
    vz.ctl("exec", "101", "reboot", check=None)
    vz.wait_reboot(101, clock)
    assert ids_of(vz, 101) == ours

    last = lease.NESTING - 1
    vz.ctl("exec2", "101", f"touch /root/x && chown {last} /root/x")
    for state, owner in (("off", 65534), ("on", last)):
        vz.ctl("set", "101", "--features", f"nesting:{state}", "--save", "--setmode", "restart")
        assert vz.ctl("exec2", "101", "stat -c %u /root/x").stdout == f"{owner}\n"
