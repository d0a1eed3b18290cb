"""Bad input of every kind: one clear line, the right exit code, nothing half done."""

import os
import subprocess

import pytest

from tests.harness import leaks, machine
from tests.harness.complaint import one_line
from tests.harness.installation import TIMEOUT, Vz

pytestmark = pytest.mark.system


def nothing_made(vz: Vz, ctid: int) -> None:
    assert vz.status(ctid) == "deleted unmounted down"
    private = f"{vz.prefix}/var/lib/vz/private"
    assert [name for name in os.listdir(private) if name.startswith(str(ctid))] == []
    assert not os.path.exists(vz.paths.ct_conf(ctid))
    machine.until("no disk", lambda: not machine.loops_below(vz.prefix))
    assert not [m for m in machine.mounts_below(vz.prefix) if f"/{ctid}" in m]


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        ([], 20, ""),
        (["frobnicate", "101"], 20, "Bad command: frobnicate"),
        (["--frob", "start", "101"], 20, "Bad command: --frob"),
        (["start"], 21, "CT ID missing"),
        (["start", "nobody"], 21, "nobody"),
        (["start", "2147483645"], 21, "Bad CT ID 2147483645"),
        (["start", "-1"], 21, ""),
        (["start", "0"], 21, "Only set actions are allowed for CT0"),
        (["start", "101"], 14, "Container config file does not exist"),
        (["status", "101", "extra"], 20, "Invalid options: extra"),
        (["set", "101", "--cpus"], 21, "option '--cpus' requires an argument"),
        (["set", "101", "--cpus", "many", "--save"], 21, "Bad parameter for --cpus: many"),
        (["set", "101", "--ram", "lots", "--save"], 21, "Bad parameter for --ram: lots"),
        (["set", "101", "--cpuunits", "7", "--save"], 21, "Bad parameter for --cpuunits: 7"),
        (["set", "101", "--ipadd", "300.1.1.1", "--save"], 21, "Bad parameter for --ipadd: 300.1.1.1"),
        (["set", "101", "--ipadd", "2001:db8::/129", "--save"], 21, "--ipadd"),
        (["set", "101", "--nameserver", "not-an-ip", "--save"], 21, "--nameserver"),
        (["set", "101", "--onboot", "perhaps", "--save"], 21, "Bad parameter for --onboot: perhaps"),
        (["set", "101", "--frob", "1", "--save"], 21, "--frob"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_command_lines(vz: Vz, argv: list[str], code: int, text: str) -> None:
    result = vz.ctl(*argv, check=code)
    if text:
        one_line(result, text)


def test_unknown_option_of_start(vz: Vz) -> None:
    vz.create(101)
    one_line(vz.ctl("start", "101", "--frob", check=20), "--frob")
    assert vz.status(101) == "exist unmounted down"


def test_unknown_container(vz: Vz) -> None:
    for verb in ("stop", "destroy", "mount", "umount", "enter", "exec", "exec2", "console", "chkpnt"):
        argv = [verb, "777", *(["true"] if verb.startswith("exec") else [])]
        one_line(vz.ctl(*argv, check=14), "Container config file does not exist")


def test_template_missing(vz: Vz) -> None:
    one_line(vz.ctl("create", "101", "--ostemplate", "no-such-os", check=91), "no-such-os", "not found")
    nothing_made(vz, 101)


@pytest.mark.parametrize("content", [b"", b"this is not an archive", None], ids=["empty", "garbage", "cut"])
def test_template_corrupt(vz: Vz, content: bytes | None) -> None:
    if content is None:
        with open(vz.template("busybox"), "rb") as file:
            content = file.read()[:200_000]
        os.unlink(f"{vz.paths.template_cache}/busybox.tar.zst")
    with open(f"{vz.paths.template_cache}/busybox.tar.zst", "wb") as file:
        file.write(content)
    result = vz.ctl("create", "101", "--ostemplate", "busybox", check=None)
    assert result.code in (47, 48)
    one_line(result, "busybox")
    nothing_made(vz, 101)
    tree = vz.paths.template_tree
    assert [name for name in os.listdir(tree) if not name.startswith(".")] == []


def test_disk_full_during_create(vz: Vz) -> None:
    """The private area is on a file system of 1 MiB."""
    vz.template("busybox")
    small = f"{vz.prefix}/var/lib/vz"
    os.makedirs(small, exist_ok=True)
    templates = f"{vz.prefix}/cache"
    os.rename(f"{small}/template/cache", templates)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "small", small], check=True)
    try:
        for directory in ("private", "root", "template", "dump", "lock"):
            os.makedirs(f"{small}/{directory}")
        os.symlink(templates, f"{small}/template/cache")
        result = vz.ctl("create", "101", "--ostemplate", "busybox", "--layout", "simfs", check=None)
        assert result.code in (46, 48), result
        one_line(result, "space")
        nothing_made(vz, 101)
        vz.stop_hostd()
    finally:
        subprocess.run(["umount", small], check=True)


def test_private_area_in_the_way(vz: Vz) -> None:
    vz.template("busybox")
    private = f"{vz.prefix}/var/lib/vz/private/101"
    os.makedirs(f"{private}/somebody")
    result = vz.ctl("create", "101", "--ostemplate", "busybox", check=44)
    one_line(result, "Private area already exists in", private)
    assert os.listdir(private) == ["somebody"]


def test_places_that_cannot_be(vz: Vz) -> None:
    """Refused before anything is made; and what a failing create had to make for its place goes again."""
    vz.template("busybox")
    place = f"{vz.prefix}/srv/new/101"
    for option, path in (("--private", "/"), ("--root", "/"), ("--private", f"{vz.paths.vz_conf}/101")):
        result = vz.ctl("create", "101", "--ostemplate", "busybox", option, path, check=21)
        assert result.stderr.startswith(f"Bad parameter for {option}: {path} (")
        assert len(result.stderr.splitlines()) == 1 and result.stdout == ""
        nothing_made(vz, 101)
    script = f"{vz.paths.conf_dir}/vps.create"
    with open(script, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nexit 1\n")
    os.chmod(script, 0o755)
    vz.ctl("create", "101", "--ostemplate", "busybox", "--private", place, check=79)
    assert not os.path.exists(f"{vz.prefix}/srv")
    nothing_made(vz, 101)


def test_private_area_gone(vz: Vz) -> None:
    vz.create(101)
    private = f"{vz.prefix}/var/lib/vz/private/101"
    os.rename(private, f"{private}.moved")
    vz.ctl("start", "101", check=43)
    assert vz.status(101) == "deleted unmounted down"


def test_an_image_without_an_init_or_with_damage_fails_clean(vz: Vz) -> None:
    vz.create(101)
    disk = f"{vz.prefix}/var/lib/vz/private/101/disk.img"
    with open(disk, "r+b") as file:
        file.write(b"\0" * 65536)
    result = vz.ctl("start", "101", check=None)
    assert result.code != 0
    one_line(result, "101")
    assert vz.status(101) == "exist unmounted down"
    assert leaks.of_container(vz.prefix, vz.paths.cgroup_root, 101) == []


def test_without_privilege(vz: Vz) -> None:
    """An ordinary user is told so; nothing is started on his behalf."""
    os.chmod(vz.prefix, 0o755)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    result = vz.run(*nobody, "vzctl", "start", "101", check=None)
    assert result.code != 0
    assert "Traceback" not in result.stderr and len(result.stderr.splitlines()) == 1
    assert not os.path.exists(vz.paths.socket)


def test_without_cgroup_controllers(vz: Vz) -> None:
    """hostd in a mount namespace without any cgroup: one line, no container half started."""
    vz.create(101)
    vz.stop_hostd()
    script = f"{machine.LET_GO}; umount -R /sys/fs/cgroup; vzctl start 101; code=$?; hostd --stop; exit $code"
    result = vz.run("unshare", "--mount", "--propagation", "private", "sh", "-c", script, check=None)
    assert result.code in (3, 5, 6, 7), result
    one_line(result, "cgroup")
    assert vz.status(101) == "exist unmounted down"


def test_unsupported_options_say_so(vz: Vz) -> None:
    vz.create(101)
    result = vz.ctl("set", "101", "--netif_add", "eth0", "--save", check=None)
    assert result.code != 0
    one_line(result, "not", "support")


@pytest.mark.parametrize("kind", ["stop", "start", "set"])
def test_an_interrupted_command_is_undone(vz: Vz, kind: str) -> None:
    """SIGINT of the command: the container is either up or down, never between, and the lock is free."""
    vz.start(101)
    if kind == "start":
        vz.ctl("stop", "101", "--fast")
    argv = [kind, "101", *(["--hostname", "x", "--save"] if kind == "set" else [])]
    child = vz.popen("vzctl", *argv)
    child.send_signal(2)
    child.wait(TIMEOUT)
    machine.until(
        "a settled state", lambda: vz.status(101) in ("exist mounted running", "exist unmounted down")
    )
    vz.ctl("stop", "101", "--fast")
    vz.ctl("start", "101")


def test_without_a_container_nothing_stays_in_the_kernel(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("stop", "101", "--fast")
    vz.stop_hostd()
    assert machine.cgroups_named(vz.paths.cgroup_root) == []
    assert "vzhost" not in vz.run("nft", "list", "tables").stdout


def test_help_and_mistakes_need_no_daemon(vz: Vz) -> None:
    """With hostd out of the way; and none is started to say it."""
    vz.create(101)
    vz.stop_hostd()
    for argv, code in (
        (["--help"], 0),
        (["--version"], 0),
        ([], 20),
        (["frob", "101"], 20),
        (["start"], 21),
        (["start", "101", "--frob"], 20),
        (["start", "102", "--wait"], 14),
    ):
        said = vz.ctl(*argv, check=code)
        assert len(said.stdout + said.stderr) > 10
    assert "Unknown field: frob" in vz.run("vzlist", "-o", "frob", check=1).stderr
    assert "Options of vzctl create:" in vz.ctl("--help").stdout
    assert machine.processes_of(vz.prefix) == []
    vz.ctl("start", "101", "--wait")
