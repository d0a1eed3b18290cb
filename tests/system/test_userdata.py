"""User data: what is asked for is done at the first boot, once, and nobody has to guess what was not."""

import base64
import hashlib
import os
import re
import subprocess

import pytest

from tests.harness import machine
from tests.harness.installation import TIMEOUT, Vz

pytestmark = pytest.mark.system

LOG = "/var/log/cloud-init-output.log"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me@there"
ALL = f"""\
#cloud-config
fqdn: web.example.org
manage_etc_hosts: true
timezone: Asia/Tokyo
users:
  - default
  - name: ann
    gecos: Ann Other
    groups: [adm, makers]
    shell: /bin/bash
    sudo: ALL=(ALL) NOPASSWD:ALL
    ssh_authorized_keys: [{KEY}]
    lock_passwd: false
    passwd: $6$saltsalt$UsVLtGLSbsOeuInDdZ6oFfYJMRa3hkXOMc47eMDEDzrJT0AkWTFwCdHFy6gGcTvFdhsoCUZRKDPM5CO.ujV2Y.
  - bob
ssh_authorized_keys:
  - {KEY}
chpasswd:
  expire: false
  list: |
    bob:secret
write_files:
  - path: /etc/deep/er/file
    content: "a $HOME `b`\\nE\\n"
    permissions: 0640
  - {{path: /home/ann/hers, content: aGVycwo=, encoding: b64, owner: 'ann:ann'}}
  - {{path: /etc/deep/er/file, content: more, append: true}}
bootcmd:
  - echo early in $(pwd), $(ps ax | grep -c '[s]shd') sshd >/run/boot
runcmd:
  - [sh, -c, 'echo "$1" >/run/ran', x, two words]
  - echo $HOME $USER $(id -u) >>/run/ran; sleep 100 & echo said
final_message: ready after $uptime seconds
"""
# What stands there afterwards, and the command that shows it; no summer time comes to Tokyo.
DONE = {
    "hostname": "web.example.org\n",
    "grep -c web.example.org /etc/hosts; cat /etc/timezone; date +%Z": "1\nAsia/Tokyo\nJST\n",
    "getent passwd ann | cut -d: -f5-7; id -nG ann": "Ann Other:/home/ann:/bin/bash\nann adm makers\n",
    "getent shadow ann bob | cut -d: -f2 | cut -c1-12": "$6$saltsalt$\n$y$j9T$",
    "stat -c '%a %U' ~ann/.ssh ~ann/.ssh/authorized_keys ~ann/hers; cat ~ann/hers": "700 ann\n600 ann\n644 ann\nhers\n",
    "cat /root/.ssh/authorized_keys ~ann/.ssh/authorized_keys": f"{KEY}\n{KEY}\n",
    "cat /etc/deep/er/file; stat -c %a /etc/deep/er/file": "a $HOME `b`\nE\nmore640\n",
    "cat /run/boot": "early in /, 0 sshd\n",
    "cat /run/ran": "two words\n/root root 0\n",
    "su ann -c 'sudo -n id -u'": "0\n",
}


def inside(vz: Vz, command: str, check: int | None = 0) -> str:
    return vz.ctl("exec2", "101", command, check=check).stdout


def data(vz: Vz, text: str, name: str = "data") -> str:
    path = f"{vz.prefix}/{name}"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def waits(vz: Vz) -> bool:
    return os.path.exists(vz.paths.ct_first_boot(101))


def over(vz: Vz) -> None:
    machine.until("the first boot is over", lambda: not waits(vz))


@pytest.mark.slow
@pytest.mark.parametrize("init", ["vz", "handoff"])
def test_all_of_it(vz: Vz, init: str) -> None:
    vz.create(101, "--init", init, "--userdata", data(vz, ALL), template="debian-12-tools")
    assert 'HOSTNAME="web.example.org"' in machine.read(vz.paths.ct_conf(101))
    vz.ctl("start", "101", "--wait")
    assert not waits(vz)
    for command, wanted in DONE.items():
        found = inside(vz, command, None)
        assert found == wanted or (wanted.endswith("$") and found.startswith(wanted)), command
    log = inside(vz, f"cat {LOG}; ls /var/lib/vz-first-boot /run/vz-first-boot 2>&1 | grep -c 'No such'")
    assert "said\n" in log and re.search(r"ready after \d+\.\d\d seconds\n", log) and log.endswith("\n2\n")
    assert "FAILED" not in log and "secret" not in log
    before = log
    vz.ctl("restart", "101")
    assert before.startswith(inside(vz, f"cat {LOG}")), "done again"


def test_busybox_has_a_shell_and_little_else(vz: Vz) -> None:
    """A user of the image's own tools, files, keys, commands; what its tools cannot do is told by name."""
    text = (
        "#cloud-config\nusers: [{name: ann, passwd: $6$salt$hash, lock_passwd: false}]\n"
        "chpasswd: {expire: false, list: 'ann:secret'}\npackages: [nginx]\ntimezone: Mars/Olympus\n"
        f"ssh_authorized_keys: [{KEY}]\nwrite_files: [{{path: /etc/x, content: there}}, {{path: /etc, content: x}}]\n"
        "runcmd: [echo on >/ran, exit 3]\n"
    )
    vz.create(101, "--userdata", data(vz, text))
    said = vz.ctl("start", "101", "--wait", check=133)
    failed = (
        "file /etc: it is a directory; password of ann: the image has no tool for hashed passwords; "
        "timezone Mars/Olympus: the image does not know it; packages: the image has no apt-get; runcmd: code 3"
    )
    assert said.stderr == f"first boot: {failed} (see {LOG} inside)\n"
    assert said.stdout.count("Warning: first boot: ") == 3
    assert f"first boot: {failed}; see {LOG} inside" in machine.read(vz.paths.log_file)
    shown = inside(vz, "cat /ran /etc/x /root/.ssh/authorized_keys; grep -c '^ann:.6' /etc/shadow")
    assert shown == f"on\nthere{KEY}\n1\n"
    assert "vzhost: FAILED: runcmd: code 3\n" in inside(vz, f"cat {LOG}") and not waits(vz)


def test_a_script_is_run_once(vz: Vz) -> None:
    vz.create(101, "--userdata", data(vz, "#!/bin/sh\necho ran $0 >>/ran; cat >>/ran; echo said; exit 0\n"))
    vz.ctl("set", "101", "--userpasswd", "root:x")
    assert waits(vz), "a start for a password is no boot"
    vz.ctl("start", "101", "--wait")
    assert inside(vz, "wc -l </ran; grep -c said " + LOG).split() == ["1", "1"]
    clock = vz.uptime_clock(101)
    vz.ctl("exec", "101", "reboot")
    vz.wait_reboot(101, clock)
    assert inside(vz, "wc -l </ran").strip() == "1"
    vz.ctl("set", "101", "--userdata", data(vz, "#!/bin/no/such\n"), check=20)
    said = vz.ctl("set", "101", "--userdata", f"{vz.prefix}/data", "--save")
    assert "Warning: --userdata takes effect after a restart of the container" in said.stdout
    vz.kill_daemon()
    vz.ctl("exec2", "101", "true")
    assert waits(vz) and machine.read(vz.paths.log_file).count("first boot:") == 1, "it is for the next start"
    assert "script: code 127" in vz.ctl("restart", "101", "--wait", check=133).stderr


def test_what_cannot_be_read_creates_nothing(vz: Vz) -> None:
    vz.template("busybox")
    create = ("create", "101", "--ostemplate", "busybox", "--userdata")
    for text, why in (
        ("#cloud-config\na: b\nc: d: e\n", "line 3: mapping values are not allowed in this context"),
        ("hello\n", "line 1: must be #cloud-config, or begin with #!"),
        ("#cloud-config\nusers: [{name: 'a b'}]\n", "users.0.name is no name of a user or a group: 'a b'"),
    ):
        said = vz.ctl(*create, data(vz, text), check=21)
        assert (said.stdout, said.stderr) == ("", f"Bad parameter for --userdata: {vz.prefix}/data: {why}\n")
    assert vz.ctids() == [] and not waits(vz)
    said = vz.ctl(*create, data(vz, "#cloud-config\nswap: {size: 1}\nusers: [{name: ann, uid: 7}]\napt: x\n"))
    warning = f"Warning: {vz.prefix}/data: nothing is done about users.0.uid, swap, apt\n"
    assert said.stdout.startswith(warning) and said.stdout.count(f"Warning: {vz.prefix}/data") == 1


LONG = "#!/bin/sh\necho began >>/ran\nwhile [ ! -e /go ]; do sleep 0.1; done\necho ended >>/ran\n"


@pytest.mark.parametrize("kill", ["kill_daemon", "kill_both", "stop_hostd"])
def test_hostd_goes_while_a_script_runs(vz: Vz, kill: str) -> None:
    """The script goes on by itself, and the next hostd waits for it: once, and told."""
    vz.start(101, "--userdata", data(vz, LONG + "exit 5\n"))
    machine.until("it runs", lambda: inside(vz, "cat /ran", None) == "began\n")
    assert "first boot is not done yet" in vz.ctl("chkpnt", "101", check=16).stderr
    getattr(vz, kill)()
    vz.ctl("status", "101")
    inside(vz, "touch /go")
    over(vz)
    assert inside(vz, "cat /ran") == "began\nended\n"
    assert "first boot: script: code 5" in machine.read(vz.paths.log_file)


@pytest.mark.parametrize("end", ["stop", "reboot"])
def test_the_container_goes_while_a_script_runs(vz: Vz, end: str) -> None:
    """It is not begun again, since nobody knows how far it came: that is told."""
    vz.start(101, "--userdata", data(vz, LONG))
    machine.until("it runs", lambda: inside(vz, "cat /ran", None) == "began\n")
    clock = vz.uptime_clock(101)
    if end == "reboot":
        vz.ctl("exec", "101", "reboot", check=None)
        vz.wait_reboot(101, clock)
    else:
        vz.ctl("stop", "101")
        assert waits(vz)
        assert "script: was cut off" in vz.ctl("start", "101", "--wait", check=133).stderr
    over(vz)
    assert inside(vz, "cat /ran") == "began\n"
    assert "first boot: script: was cut off, and is not done again" in machine.read(vz.paths.log_file)


def test_a_tenants_command_that_never_ends_holds_nobody_up(vz: Vz) -> None:
    """Neither with the lock, when a start waits for it, nor for ever."""
    vz.create(101, "--userdata", data(vz, "#cloud-config\nruncmd: [touch /began, sleep infinity]\n"))
    waiting = vz.popen("vzctl", "start", "101", "--wait")
    machine.until("it runs", lambda: "/began" in inside(vz, "ls /began", None))
    vz.ctl("set", "101", "--hostname", "new", "--save")
    vz.ctl("stop", "101")
    assert waiting.wait(TIMEOUT) == 133 and waiting.stderr is not None
    assert waiting.stderr.read().startswith("first boot: not finished: ")
    assert vz.status(101) == "exist unmounted down"


def test_more_failures_than_a_pipe_holds(vz: Vz) -> None:
    """Nobody reads them before the script has ended; the reason is seen, however long the name."""
    files = [f"  - {{path: /etc/passwd/{number:02}{'x' * 3000}, content: x}}" for number in range(60)]
    vz.create(101, "--userdata", data(vz, "\n".join(["#cloud-config", "write_files:", *files, ""])))
    said = vz.ctl("start", "101", "--wait", check=133)
    warnings = [line for line in said.stdout.splitlines() if line.startswith("Warning: first boot: file /etc/passwd/")]
    assert len(warnings) == 20 and all(line.endswith("...: code 1") for line in warnings)
    assert inside(vz, f"grep -c FAILED {LOG}") == "60\n"


@pytest.mark.parametrize("point", ["start.go", "firstboot.early", "start.commit", "firstboot.late", "firstboot.end"])
def test_hostd_is_killed_between(vz: Vz, point: str) -> None:
    """At each point of a first boot: all of it is done once, by whoever comes next."""
    text = (
        "#cloud-config\nbootcmd: [echo boot >>/ran]\nruncmd: [echo run >>/ran]\n"
        f"write_files: [{{path: /file, content: x, append: true}}]\nssh_authorized_keys: [{KEY}]\n"
    )
    vz.create(101, "--userdata", data(vz, text))
    vz.stop_hostd()
    vz.start_hostd(VZ_FAULT=f"@{data(vz, f'{point}:both', 'fault')}")
    vz.ctl("start", "101", check=None)
    machine.until("it was killed", lambda: not os.path.exists(f"{vz.prefix}/fault"))
    machine.until("hostd is back", lambda: vz.ctl("status", "101", check=None).code == 0)
    machine.until("it is settled", lambda: vz.status(101) in ("exist mounted running", "exist unmounted down"))
    if vz.status(101) != "exist mounted running":
        vz.ctl("start", "101", "--wait")
    over(vz)
    assert inside(vz, "cat /ran; cat /file; wc -l </root/.ssh/authorized_keys") == "boot\nrun\nx1\n"
    assert "first boot: done" in machine.read(vz.paths.log_file)


REPOSITORY = """\
#cloud-config
bootcmd: [rm -f /etc/apt/sources.list.d/*]
write_files:
  - {{path: /etc/apt/sources.list, content: 'deb [trusted=yes] file:/repository ./'}}
  - {{path: /repository/Packages, content: "{index}"}}
  - {{path: /repository/hello.deb, encoding: b64, content: {package}}}
packages: {packages}
runcmd: [cat /hello]
"""


def repository(vz: Vz, packages: str) -> str:
    """An archive of one package, which needs no network, as user data."""
    tree = f"{vz.prefix}/tree"
    os.makedirs(f"{tree}/DEBIAN")
    os.chmod(f"{tree}/DEBIAN", 0o755)  # dpkg-deb insists
    control = "Package: hello\nVersion: 1.0\nArchitecture: all\nMaintainer: me <me@example.org>\nDescription: hello\n"
    for name, text in (("DEBIAN/control", control), ("hello", "hello from a package\n")):
        with open(f"{tree}/{name}", "w", encoding="ascii") as file:
            file.write(text)
    subprocess.run(["dpkg-deb", "-b", tree, f"{vz.prefix}/hello.deb"], check=True, stdout=subprocess.DEVNULL)
    with open(f"{vz.prefix}/hello.deb", "rb") as deb:
        content = deb.read()
    digest = hashlib.sha256(content).hexdigest()
    index = f"{control}Filename: ./hello.deb\nSize: {len(content)}\nSHA256: {digest}\n".replace("\n", "\\n")
    return REPOSITORY.format(index=index, package=base64.b64encode(content).decode(), packages=packages)


@pytest.mark.slow
def test_packages_come_before_commands(vz: Vz) -> None:
    vz.create(101, "--userdata", data(vz, repository(vz, "[[hello, '1.0']]")), template="debian-12")
    vz.ctl("start", "101", "--wait")
    assert "hello from a package\n" in inside(vz, f"cat {LOG}")
    assert inside(vz, "dpkg-query -W hello") == "hello\t1.0\n"


@pytest.mark.slow
def test_packages_without_a_network(vz: Vz) -> None:
    """What is not possible is said, and the rest is done."""
    text = "#cloud-config\npackages: [hello]\nruncmd: [echo on]\n"
    vz.create(101, "--userdata", data(vz, text), template="debian-12")
    said = vz.ctl("start", "101", "--wait", check=133)
    assert "packages: no archive can be reached: is there a network, and a name server?" in said.stderr
    assert inside(vz, f"grep -cx on {LOG}") == "1\n"
