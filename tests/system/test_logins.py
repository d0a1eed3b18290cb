"""Passwords, and keys that root logs in with: of a container that is made, stopped or running; then really by ssh."""

import os
import subprocess

import pytest

from tests.harness import machine
from tests.harness.installation import Vz
from tests.harness.needs import needs

pytestmark = pytest.mark.system

SSH = ("ssh", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR", "-oBatchMode=yes",
       "-oConnectTimeout=10", "-oIdentitiesOnly=yes")  # fmt: skip
STATE = "cd /root; stat -c '%a %u:%g %n' .ssh .ssh/*; cat .ssh/authorized_keys"


def new_key(vz: Vz, name: str) -> str:
    """Make a pair; the line of its public half."""
    path = f"{vz.prefix}/{name}"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path], check=True)
    with open(f"{path}.pub", encoding="ascii") as file:
        return file.read()


def inside(vz: Vz, command: str) -> str:
    return vz.ctl("exec2", "101", command).stdout


def test_keys_of_all_times(vz: Vz) -> None:
    """At create, while it is stopped, at a start, while it runs; twice is once, and what was there stays."""
    lines = [new_key(vz, name) for name in ("one", "two", "three", "four")]
    one, two, three, four = (f"{vz.prefix}/{name}.pub" for name in ("one", "two", "three", "four"))
    vz.create(101, "--sshkey", one)
    assert os.stat(vz.paths.ct_first_boot(101)).st_mode & 0o777 == 0o600
    vz.ctl("set", "101", "--sshkey", two)
    vz.ctl("start", "101", "--sshkey", three)
    assert not os.path.exists(vz.paths.ct_first_boot(101))
    inside(vz, "printf '# mine\\n#%s\\nssh-rsa theirs' \"$(tail -n1 /root/.ssh/authorized_keys)\" >/root/mine; "
               "cat /root/.ssh/authorized_keys >>/root/mine; printf last >>/root/mine; "
               "chmod 644 /root/mine; mv /root/mine /root/.ssh/authorized_keys; chmod 755 /root/.ssh")  # fmt: skip
    before = inside(vz, "cat /root/.ssh/authorized_keys")
    vz.ctl("set", "101", "--sshkey", four, "--sshkey", two, "--sshkey", one)
    state = inside(vz, STATE)
    assert state == f"700 0:0 .ssh\n600 0:0 .ssh/authorized_keys\n{before}\n{lines[3]}"
    vz.ctl("set", "101", "--sshkey", four)
    assert inside(vz, STATE) == state
    assert [state.count(line.split()[1]) for line in lines] == [1, 1, 2, 1], "the third stands in a comment as well"
    vz.ctl("restart", "101")
    assert inside(vz, STATE) == state


def test_a_link_in_its_place_leads_nowhere(vz: Vz) -> None:
    new_key(vz, "key")
    vz.start(101)
    inside(vz, "ln -s /etc /root/.ssh")
    said = vz.ctl("set", "101", "--sshkey", f"{vz.prefix}/key.pub", check=74)
    assert said.stderr == "Keys were not added: /root/.ssh is a symbolic link\n"
    assert inside(vz, "ls /etc/authorized* 2>&1; stat -c %a /etc").endswith("755\n")
    inside(vz, "rm /root/.ssh; mkdir /root/.ssh; echo kept >/etc/target; ln -s /etc/target /root/.ssh/authorized_keys")
    said = vz.ctl("set", "101", "--sshkey", f"{vz.prefix}/key.pub", check=74)
    assert said.stderr == "Keys were not added: /root/.ssh/authorized_keys is a symbolic link\n"
    assert inside(vz, "cat /etc/target; readlink /root/.ssh/authorized_keys") == "kept\n/etc/target\n"


def test_a_users_link_shows_nobody_a_file_of_roots(vz: Vz) -> None:
    key = new_key(vz, "key").strip()
    with open(f"{vz.prefix}/data", "w", encoding="ascii") as file:
        file.write(
            "#cloud-config\nbootcmd: [adduser -D ann, mkdir -p /home/ann/.ssh, 'chown ann /home/ann/.ssh',\n"
            "  ln -s /etc/shadow /home/ann/.ssh/authorized_keys]\n"
            f"users: [{{name: ann, ssh_authorized_keys: ['{key}']}}]\n"
        )
    vz.create(101, "--userdata", f"{vz.prefix}/data")
    said = vz.ctl("start", "101", "--wait", check=133)
    assert "ssh keys of ann: /home/ann/.ssh/authorized_keys is a symbolic link" in said.stderr
    shown = inside(vz, "ls /home/ann/.ssh; readlink /home/ann/.ssh/authorized_keys; stat -c %U /etc/shadow")
    assert shown == "authorized_keys\n/etc/shadow\nroot\n"


def test_a_key_that_could_not_be_added_is_told_by_the_start(vz: Vz) -> None:
    new_key(vz, "key")
    vz.create(101, "--sshkey", f"{vz.prefix}/key.pub")
    with open(f"{vz.prefix}/script", "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nln -s /etc /root/.ssh\n")
    vz.ctl("runscript", "101", f"{vz.prefix}/script")
    said = vz.ctl("start", "101", "--wait", check=133)
    assert "Warning: first boot: ssh keys of root: /root/.ssh is a symbolic link\n" in said.stdout
    assert said.stderr.startswith("first boot: ssh keys of root: /root/.ssh is a symbolic link (see ")
    assert vz.status(101) == "exist mounted running"


def test_what_is_no_key_is_refused_before_anything_is_done(vz: Vz) -> None:
    line, pub = new_key(vz, "key"), f"{vz.prefix}/key.pub"
    with open(f"{vz.prefix}/broken", "w", encoding="ascii") as file:
        file.write(f"{line}nonsense\n")
    vz.template("busybox")
    create = ("create", "101", "--ostemplate", "busybox", "--sshkey", pub, "--sshkey")
    for name, why in (
        ("key", "line 1: a private key; give the public one, of the file that ends with .pub"),
        ("broken", "line 2: no public key of OpenSSH"),
        ("absent", "No such file or directory"),
        ("", "is no regular file"),
    ):
        path = f"{vz.prefix}/{name}"
        said = vz.ctl(*create, path, check=21)
        assert (said.stdout, said.stderr) == ("", f"Bad parameter for --sshkey: {path}: {why}\n")
    assert vz.status(101) == "deleted unmounted down" and vz.ctids() == []
    assert os.listdir(vz.paths.conf_dir) and not os.path.exists(vz.paths.ct_first_boot(101))


def test_a_destroyed_one_leaves_no_key_to_the_next(vz: Vz) -> None:
    new_key(vz, "key")
    vz.create(101, "--sshkey", f"{vz.prefix}/key.pub")
    vz.ctl("destroy", "101")
    assert not os.path.exists(vz.paths.ct_first_boot(101))


@pytest.mark.slow
@pytest.mark.parametrize("init", ["vz", "handoff"])
def test_ssh_with_a_key_given_at_create(vz: Vz, init: str) -> None:
    new_key(vz, "key")
    vz.start(101, "--ipadd", "192.0.2.101", "--hostname", "deb.example.org", "--sshkey", f"{vz.prefix}/key.pub",
             "--init", init, template="debian-12")  # fmt: skip
    ssh = (*SSH, "-i", f"{vz.prefix}/key", "root@192.0.2.101", "hostname; id -u")
    machine.until("ssh", lambda: vz.run(*ssh, check=None).stdout == "deb.example.org\n0\n")


@needs("memory", "pids")
def test_a_password_that_cannot_be_set_leaves_nothing_else_set(vz: Vz) -> None:
    vz.start(101)
    vz.ctl("exec2", "101", "hostname mine; tool=$(command -v chpasswd) && mv $tool $tool.away")
    limits = vz.vzlist("-H", "-o", "numproc.l,physpages.l,cpuunits", "101")
    text = machine.read(vz.paths.ct_conf(101))
    argv = ("set", "101", "--numproc", "321", "--ram", "77M", "--cpuunits", "3333", "--hostname", "other.example.org")
    for more in ((), ("--save",)):
        said = vz.ctl(*argv, "--userpasswd", "root:secret", *more, check=74)
        assert "Password change failed" in said.stderr and "UB limits" not in said.stdout
        assert vz.vzlist("-H", "-o", "numproc.l,physpages.l,cpuunits", "101") == limits
        assert vz.ctl("exec2", "101", "hostname").stdout == "mine\n"
    assert machine.read(vz.paths.ct_conf(101)) == text
    vz.ctl("exec2", "101", "for one in /*bin/chpasswd.away /usr/*bin/chpasswd.away; do mv $one ${one%.away} || :; done")
    assert "UB limits were set successfully" in vz.ctl(*argv, "--userpasswd", "root:secret").stdout
    assert vz.vzlist("-H", "-o", "numproc.l", "101").strip() == "321"
