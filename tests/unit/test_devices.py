"""--devices, --devnodes, --capability: normal form, what is refused, and what becomes of them."""

import os
import stat
from types import SimpleNamespace

import pytest

from hostd.config import permits
from hostd.config.model import CtConfig, GlobalConfig, effective
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.container import devices
from hostd.container.devices import FUSE, TUN, Device
from hostd.container.plan import dropped
from hostd.kernel import caps
from hostd.kernel.device_program import DeviceRule
from tests.harness.fake_host import Fake, Said

HOST = {  # mode and device of each in the host's /dev
    "net/tun": (stat.S_IFCHR | 0o666, os.makedev(10, 200)),
    "fuse": (stat.S_IFCHR | 0o666, os.makedev(10, 229)),
    "sdb1": (stat.S_IFBLK | 0o660, os.makedev(8, 17)),
    "log": (stat.S_IFSOCK | 0o666, 0),
}


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    def status(path: str) -> SimpleNamespace:
        if path.removeprefix("/dev/") not in HOST:
            raise FileNotFoundError(2, "No such file or directory", path)
        mode, device = HOST[path.removeprefix("/dev/")]
        return SimpleNamespace(st_mode=mode, st_rdev=device)

    known = SimpleNamespace(stat=status, major=os.major, minor=os.minor, makedev=os.makedev)
    monkeypatch.setattr(devices, "os", known)


def config(text: str) -> CtConfig:
    paths = Paths("/nowhere")
    return effective(101, VeConf.parse(text), GlobalConfig.from_conf(paths, VeConf()))


@pytest.mark.parametrize(
    ("old", "given", "stored"),
    [
        ("", ["c:10:200:wr"], "c:10:200:rw "),
        ("c:10:200:rw ", ["b:8:all:qwr"], "c:10:200:rw b:8:all:rwq "),
        ("c:10:200:rw b:8:all:rwq ", ["c:10:200:none"], "b:8:all:rwq "),
        ("c:10:200:rw ", ["c:10:200:r", "c:10:229:w"], "c:10:200:r c:10:229:w "),
        ("c:10:200:rw ", ["c:10:200:none", "c:10:200:r"], "c:10:200:r "),
        ("garbage", ["c:1:2:r"], "c:1:2:r "),
    ],
)
def test_normal_form_of_devices(fake: Fake, old: str, given: list[str], stored: str) -> None:
    fake.ct(101, f'DEVICES="{old}"\n')
    said = fake.ctl("set", "101", *(word for one in given for word in ("--devices", one)), "--save")
    assert said.code == 0 and said.stderr == ""
    assert fake.conf(101) == f'DEVICES="{stored}"\n'


@pytest.mark.parametrize(
    ("old", "given", "stored"),
    [("", "net/tun:wr", "net/tun:rw"), ("net/tun:rw", "sdb1:rq", "net/tun:rw sdb1:rq"), ("fuse:r", "fuse:none", "")],
)
def test_normal_form_of_devnodes(fake: Fake, old: str, given: str, stored: str) -> None:
    fake.ct(101, f'DEVNODES="{old}"\n')
    assert fake.ctl("set", "101", "--devnodes", given, "--save").code == 0
    assert fake.conf(101) == f'DEVNODES="{stored}"\n'


@pytest.mark.parametrize(
    ("option", "value"),
    [("devices", value) for value in ("", "c:10:200", "c:10:200:", "c:10:200:rx", "d:10:200:r", "c:all:1:r",
                                      "c:5000:1:r", "c:1:2:r c:1:3:r")]
    + [("devnodes", value) for value in ("", "fuse", "/dev/fuse:r", "../fuse:r", "net/../fuse:r", "fuse:rwx")],
)  # fmt: skip
def test_what_is_no_device(fake: Fake, option: str, value: str) -> None:
    fake.up(101, "A=1\n")
    said = fake.ctl("set", "101", f"--{option}", value, "--save")
    assert said.code == 21 and said.stderr.startswith(f"Bad parameter for --{option}: {value} (")
    assert fake.conf(101) == "A=1\n" and fake.asked() == []


def test_what_the_host_has_not_or_everybody_has(fake: Fake) -> None:
    fake.up(101, "A=1\n")
    for name in ("sdz", "log"):
        said = fake.ctl("set", "101", "--devnodes", f"{name}:rw", "--save")
        assert said == Said(21, "", f"the host has no device /dev/{name}\n")
    said = fake.ctl("set", "101", "--devnodes", "ptmx:rw", "--save")
    assert said == Said(21, "", "/dev/ptmx is each container's own\n")
    assert fake.ctl("set", "101", "--devnodes", "sdz:none", "--save").code == 0
    assert fake.asked() == ["apply"]


def test_set_is_live_and_told(fake: Fake) -> None:
    fake.up(101)
    said = fake.ctl("set", "101", "--devices", "c:10:200:rw", "--devnodes", "fuse:rw", "--save")
    assert said.stdout.splitlines()[0] == "Setting devices" and said.stdout.count("Setting devices") == 1
    (change,) = fake.host.changes
    assert change.after.devices == (permits.Permit("c", 10, 200, "rw"),)
    assert change.after.devnodes == (("fuse", "rw"),) and change.before.devnodes == ()


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("", set()),
        ('DEVNODES="sdb1:r net/tun:rw gone:rw fuse:q"\n',
         {Device("sdb1", 8, 17, "b", "r", 0o660), Device("net/tun", 10, 200)}),
        ('DEVNODES="fuse:r"\nFEATURES="nesting:on"\n', {FUSE, TUN}),
    ],
)  # fmt: skip
def test_nodes(text: str, nodes: set[Device]) -> None:
    assert set(devices.of(config(text))) == nodes


def test_rules_of_the_filter() -> None:
    found = devices.rules(config('DEVNODES="sdb1:r"\nDEVICES="c:10:200:rw b:9:all:w c:4:4:q"\n'))
    assert found == (
        DeviceRule("b", 8, 17, "rm", True),
        DeviceRule("c", 10, 200, "rwm", True),
        DeviceRule("b", 9, None, "wm", True),
    )


@pytest.mark.parametrize(
    ("text", "major", "minor", "granted"),
    [
        ('DEVICES="c:10:200:r"\nDEVNODES="net/tun:w"\n', 10, 200, "rw"),
        ('DEVICES="c:10:all:r c:10:200:w"\n', 10, 200, "rw"),
        ('DEVICES="c:10:all:r c:10:200:w"\n', 10, 201, "r"),
        ('DEVICES="c:10:200:w c:10:all:r"\n', 10, 200, "rw"),
        ('DEVICES="c:10:all:w"\nDEVNODES="net/tun:r"\n', 10, 200, "rw"),
        ('DEVICES="c:10:all:w b:10:200:r c:11:200:r"\n', 10, 200, "w"),
        ('DEVICES="c:10:229:r"\nFEATURES="nesting:on"\n', 10, 229, "rw"),
    ],
)
def test_a_device_has_the_rights_of_all_settings_that_mean_it(
    text: str, major: int, minor: int, granted: str
) -> None:
    """Also for who opens it to read and to write at once, which is one question of the kernel's."""
    rules = devices.rules(config(text))
    for wanted in ("r", "w", "rw", "rwm"):
        fit = [one for one in rules if (one.type, one.major) == ("c", major) and one.minor in (None, minor)]
        allowed = any(set(wanted) <= set(one.access) for one in fit)
        assert allowed == (set(wanted) <= {*granted, "m"})
    assert len({(one.type, one.major, one.minor) for one in rules}) == len(rules)


def test_only_other_nodes_come_and_go() -> None:
    before, after = config('DEVNODES="sdb1:r fuse:rw"\n'), config('DEVNODES="sdb1:rw net/tun:rw"\n')
    assert devices.difference(before, after) == ([FUSE], [TUN])


def test_absent_devices_are_named() -> None:
    assert devices.absent(config('DEVNODES="gone:rw fuse:rw"\n')) == ["gone"]


def names(numbers: tuple[int, ...]) -> set[str]:
    return {caps.NAMES[number] for number in numbers}


@pytest.mark.parametrize(
    ("capabilities", "privileged", "more", "fewer"),
    [
        ({}, False, set(), set()),
        ({"NET_RAW": False, "MKNOD": True}, False, {"net_raw"}, set()),
        ({"VE_ADMIN": False}, False, {"sys_admin", "net_admin"}, set()),
        ({"VE_ADMIN": True, "SYS_ADMIN": False}, False, {"sys_admin"}, set()),
        ({"MKNOD": True, "CHOWN": False}, True, {"chown"}, {"mknod"}),
        ({"SYS_MODULE": False, "SYS_TIME": True}, True, set(), set()),
    ],
)
def test_capabilities(capabilities: dict[str, bool], privileged: bool, more: set[str], fewer: set[str]) -> None:
    default = names(caps.PRIVILEGED_DROP if privileged else caps.DEFAULT_DROP)
    found = dropped(capabilities, privileged=privileged)
    assert names(found) == default - fewer | more
    assert len(found) == len(set(found))


def test_a_capability_takes_a_restart(fake: Fake) -> None:
    fake.up(101, "A=1\n")
    assert fake.ctl("set", "101", "--capability", "net_raw:off").code == 32
    said = fake.ctl("set", "101", "--capability", "net_raw:off", "--save", "--setmode", "restart")
    assert said.code == 0 and fake.asked()[-2:] == ["stop", "start"]
    assert 'CAPABILITY="NET_RAW:off"' in fake.conf(101)
