"""Bash completion, by bash: what is offered where a command, a container, an option or a value is due."""

import os
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator

import pexpect
import pytest

from hostd.command.activity import BY_NAME
from hostd.config import skeleton
from hostd.config.paths import Paths
from images.completion import script

VZLIST = """#!/bin/sh
echo "$*" >>"$VZ_PREFIX/asked"
case $* in
*hostname) echo web.example.org ;;
*"ip "*) echo 192.0.2.101 2001:db8::101 ;;
*-S*) echo '       102 -' ;;
*) echo '       101 my web' ;;
esac
"""
COMPLETE = """
source "$SCRIPT"
COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
{function}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


class Bash:
    """An installation below a prefix, as completion sees it, and bash that completes a line."""

    def __init__(self, directory: str) -> None:
        self.paths = Paths(f"{directory}/vz")
        skeleton.install(self.paths)
        self.script = f"{directory}/completion"
        with open(self.script, "w", encoding="utf-8") as file:
            file.write(script())
        with open(f"{directory}/vzlist", "w", encoding="ascii") as file:
            file.write(VZLIST)
        os.chmod(f"{directory}/vzlist", 0o755)
        self.env = {"PATH": f"{directory}:/usr/bin:/bin", "VZ_PREFIX": self.paths.prefix, "SCRIPT": self.script}
        self.directory = directory

    def __call__(self, line: str) -> list[str]:
        """What is offered at the end of *line*."""
        text = COMPLETE.format(words=shlex.join(words(line)), function=f"_{line.split()[0]}")
        argv = ["bash", "--norc", "-c", text]
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, cwd=self.directory, check=False)
        assert done.stderr == "", done.stderr
        return sorted(done.stdout.split("\n")[:-1]) if done.stdout.strip() else []

    def template(self, *names: str) -> None:
        for name in names:
            with open(f"{self.paths.template_cache}/{name}", "w", encoding="ascii"):
                pass

    def conf(self, ctid: int, name: str = "") -> None:
        with open(self.paths.ct_conf(ctid), "w", encoding="ascii"):
            pass
        if name:
            os.makedirs(self.paths.names_dir, exist_ok=True)
            os.symlink(self.paths.ct_conf(ctid), f"{self.paths.names_dir}/{name}")

    def asked(self) -> str:
        path = f"{self.paths.prefix}/asked"
        if not os.path.exists(path):
            return ""
        with open(path, encoding="ascii") as file:
            return file.read()


def words(line: str) -> list[str]:
    """As bash breaks a line, at blanks and at COMP_WORDBREAKS."""
    parts = [piece for part in line.split() for piece in re.findall(r"=+|:+|[^=:]+", part)]
    return [*parts, ""] if line.endswith(" ") else parts


@pytest.fixture
def bash(tmp_path: os.PathLike[str]) -> Bash:
    return Bash(str(tmp_path))


@pytest.fixture
def listening(bash: Bash) -> Iterator[None]:
    """As if hostd listened."""
    os.makedirs(bash.paths.run_dir)
    folder = os.open(bash.paths.run_dir, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(f"/proc/self/fd/{folder}/hostd.sock")
        yield
    os.close(folder)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("vzctl sta", "start status"),
        ("vzctl --verb", "--verbose"),
        ("vzctl --verbose --skiplock res", "restart restore resume"),
        ("vzctl snap", ""),
        ("vzctl create ", ""),
        ("vzctl check ", ""),
        ("vzctl start 101 ", "--wait --force --skip-fsck --sshkey"),
        ("vzctl start 101 --wait --fo", "--force"),
        ("vzctl stop 101 -", "--fast --skip-umount"),
        ("vzctl status 101 ", ""),
        ("vzctl chkpnt 101 --", "--dumpfile --skip_arpdetect"),
        ("vzctl enter 101 ", "--exec"),
        ("vzctl enter 101 --exec --", ""),
        ("vzctl exec 101 --onboot ", ""),
        ("vzctl console 101 1", "1 10 11 12"),
        ("vzctl set 101 --onboot ", "no yes"),
        ("vzctl set 101 --onboot y", "yes"),
        ("vzctl set 101 --onboot=", "no yes"),
        ("vzctl set 101 --onboot=n", "no"),
        ("vzctl set 101 --onboot no --privi", "--privileged"),
        ("vzctl set 101 --onboot no --disk", "--diskinodes --diskquota --diskspace"),
        ("vzctl set 101 --cpuunits ", ""),
        ("vzctl set 101 --cpuunits=", ""),
        ("vzctl set 101 -p ", ""),
        ("vzctl set 101 --setmode ", "ignore restart"),
        ("vzctl set 101 --netfilter st", "stateful stateless"),
        ("vzctl set 101 --ioprio ", "0 1 2 3 4 5 6 7"),
        ("vzctl set 101 --cpumask a", "all auto"),
        ("vzctl set 101 --devices ", ""),
        ("vzctl set 101 --devnodes ", ""),
        ("vzctl set 101 --nameserver i", "inherit"),
        ("vzctl set 101 --netif", ""),
        ("vzctl set 101 --capability net_a", "net_admin:"),
        ("vzctl set 101 --capability net_admin:", "off on"),
        ("vzctl set 101 --capability net_admin:on,sys_t", "on,sys_time: on,sys_tty_config:"),
        ("vzctl set 101 --features=nfs:o", "off on"),
        ("vzctl create 102 --layout ", "overlay simfs"),
        ("vzctl create 102 --local", ""),
        ("vzctl create 102 --config vswap-5", "vswap-512m"),
        ("vzctl set 101 --applyconfig=bas", "basic"),
        ("vzlist --out", "--output"),
        ("vzlist -o sta", "status"),
        ("vzlist -o ctid,sta", "ctid,status"),
        ("vzlist -o ip,numproc", "ip,numproc ip,numproc.b ip,numproc.f ip,numproc.l ip,numproc.m"),
        ("vzlist -o ctid,cti", ""),
        ("vzlist --output=ctid,dis", " ".join(
            f"ctid,{one}" for one in ("disabled", "diskinodes", "diskinodes.h", "diskinodes.s", "diskspace",
                                      "diskspace.h", "diskspace.s"))),
        ("vzlist -aHo sta", "status"),
        ("vzlist -aHoctid,lay", "-aHoctid,layout"),
        ("vzlist -s uptim", "uptime"),
        ("vzlist -s -uptim", "-uptime"),
        ("vzlist -s-uptim", "-s-uptime"),
        ("vzlist --sort=-bootord", "-bootorder"),
        ("vzlist -so ", ""),
        ("vzlist -d ", ""),
        ("vzlist -1", "-1"),
        ("vzubc -q", "-q -qh -qm"),
        ("vzubc --re", "--relative"),
        ("vzubc -qh ", ""),
        ("vzcfgvalidate --vswap ", "no yes"),
        ("vzsplit -v y", "yes"),
        ("vzsplit -f ", ""),
        ("vzmemcheck --", "--absolute --help --verbose"),
        ("vzcpucheck ", ""),
    ],
    ids=lambda value: value if value.startswith("vz") else "",
)  # fmt: skip
def test_offers(bash: Bash, line: str, offered: str) -> None:
    assert bash(line) == sorted(offered.split())


def test_all_fields_and_options(bash: Bash) -> None:
    assert bash("vzlist -o ") == sorted(BY_NAME)
    assert len(bash("vzlist -s -")) == len(BY_NAME)
    assert {"-a", "--all", "-o", "--json"} <= set(bash("vzlist -"))
    assert {"--save", "--ipadd"} <= set(bash("vzctl set 101 ")) and "--netif_add" not in bash("vzctl set 101 ")


def test_templates(bash: Bash) -> None:
    bash.template("debian-12.tar.zst", "debian-13-x86_64.tar.gz", "alpine.tar", "notes.txt")
    assert bash("vzctl create 101 --ostemplate ") == ["alpine", "debian-12", "debian-13-x86_64"]
    assert bash("vzctl create 101 --ostemplate=deb") == ["debian-12", "debian-13-x86_64"]
    os.makedirs(f"{bash.paths.prefix}/elsewhere/cache")
    with open(bash.paths.vz_conf, "w", encoding="ascii") as file:
        file.write('TEMPLATE="/elsewhere"\n')
    assert bash("vzctl create 101 --ostemplate ") == []


def test_a_file_name_is_never_executed(bash: Bash) -> None:
    bash.template("a$(touch pwned).tar", "a`touch pwned`.tar", "a;touch pwned.tar")
    assert len(bash("vzctl create 101 --ostemplate a")) == 3
    assert not os.path.exists(f"{bash.directory}/pwned")
    assert all("\\" in offer for offer in bash("vzctl create 101 --ostemplate a"))


def test_containers_without_a_daemon(bash: Bash) -> None:
    """By the files; none is started for a question."""
    bash.conf(101, "web")
    bash.conf(102, "my web")
    bash.conf(0)
    assert bash("vzctl start ") == ["101", "102", "my\\ web", "web"]
    assert bash("vzctl stop w") == ["web"]
    assert bash("vzlist -a 10") == ["101", "102"]
    assert bash("vzlist -N w") == ["web"]
    assert bash.asked() == ""


@pytest.mark.usefixtures("listening")
def test_containers_in_the_right_state(bash: Bash) -> None:
    assert bash("vzctl start ") == ["102"]
    assert bash("vzctl stop ") == ["101", "my\\ web"]
    assert bash("vzctl set ") == ["101", "my\\ web"]
    assert bash("vzlist -h ") == ["web.example.org"]
    assert bash("vzctl set 101 --ipdel ") == ["192.0.2.101", "2001:db8::101", "all"]
    assert bash("vzctl set 101 --ipdel 2001:db8:") == [":101"]
    asked = bash.asked().splitlines()
    assert asked[:3] == ["-t -S -Ho ctid,name", "-t -Ho ctid,name", "-t -a -Ho ctid,name"]


def test_files(bash: Bash) -> None:
    os.mkdir(f"{bash.directory}/there")
    with open(f"{bash.directory}/there/file.sh", "w", encoding="ascii"):
        pass
    os.mkdir(f"{bash.directory}/there/folder")
    assert bash("vzctl runscript 101 there/f") == ["there/file.sh", "there/folder"]
    assert bash("vzctl create 101 --userdata there/fi") == bash("vzctl set 101 --sshkey=there/fi") == ["there/file.sh"]
    assert bash("vzctl restore 101 --dumpfile there/fi") == ["there/file.sh"]
    assert bash("vzctl create 101 --private there/f") == ["there/folder"]
    assert bash("vzctl runscript 101 there/file.sh ") == []


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("vzctl set 101 --onboot=y", "--onboot=yes "),
        ("vzctl set 101 --privileged n", "--privileged no "),
        ("vzctl set 101 --capability net_ad", "--capability net_admin:"),
        ("vzctl set 101 --capability net_admin:of", "--capability net_admin:off "),
        ("vzlist -o ctid,hostn", "-o ctid,hostname"),
        ("vzlist --output=ctid,hostn", "--output=ctid,hostname"),
        ("vzctl start my", "start my\\ web "),
        ("vzctl create 102 --config vswap-25", "--config vswap-256m "),
    ],
)
def test_a_real_line(bash: Bash, typed: str, line: str) -> None:
    """On a terminal, with bash's own word breaking."""
    bash.conf(101, "my web")
    env = bash.env | {"PS1": "> ", "TERM": "dumb", "HOME": bash.directory}
    child = pexpect.spawn("bash", ["--norc", "--noprofile", "-i"], env=env, encoding="utf-8", timeout=20, echo=True)
    try:
        child.sendline("bind 'set bell-style none' 'set enable-bracketed-paste off'")
        child.sendline(f"source {bash.script}; PS1='ready> '")
        child.expect_exact("\nready> ")
        child.send(f"{typed}\t#end")
        child.expect_exact("#end")
        assert child.before.endswith(line), child.before
    finally:
        child.close(force=True)
