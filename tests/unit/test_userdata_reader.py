"""User data: what becomes an item, what is told as unknown, and what is refused by line or key."""

import base64
import gzip
import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostd.userdata import plan, reader, script, sshkeys
from hostd.userdata.plan import Item, Plan

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def read(text: str) -> reader.UserData:
    return reader.read(f"#cloud-config\n{text}")


def whats(items: tuple[Item, ...]) -> list[str]:
    return [one.what for one in items]


def held(item: Item) -> bytes:
    """The bytes that an item carries as base64."""
    match = re.search(r"<<'E'\n(.*)E$", item.text, re.DOTALL)
    assert match
    return base64.b64decode(match[1])


def test_the_order() -> None:
    found = read(
        f"final_message: x\nruncmd: [a]\npackages: [b]\ntimezone: UTC\nchpasswd: {{list: 'ann:b'}}\nbootcmd: [c]\n"
        f"ssh_authorized_keys: ['{KEY}']\nusers: [{{name: ann, sudo: ALL=(ALL) ALL, passwd: $6$a$b}}]\n"
        "write_files: [{path: /hers, owner: ann}, {path: /etc/skel/x}]\n"
    )
    assert whats(found.plan.early) == [
        "bootcmd", "file /etc/skel/x", "user ann", "sudo of ann", "password of ann", "ssh keys of root", "file /hers",
        "passwords", "timezone UTC",
    ]  # fmt: skip
    assert whats(found.plan.late) == ["packages", "runcmd", "final message"]
    assert {one.what for one in (*found.plan.early, *found.plan.late) if one.once} == {"bootcmd", "runcmd"}
    assert found.unknown == () and found.hostname == ""


def test_commands_are_one_script() -> None:
    (item,) = read("runcmd:\n  - [echo, a b, '$x']\n  - echo $x | cat\n").plan.late
    assert held(item) == b"#!/bin/sh\necho 'a b' '$x'\necho $x | cat\n"


def test_a_script_stays_as_it_is() -> None:
    text = "#!/usr/bin/env python3\nprint('\udcff')\n"
    (item,) = reader.read(text).plan.late
    assert held(item) == text.encode("utf-8", "surrogateescape") and item.once


@pytest.mark.parametrize("encoding", ["b64", "base64", "gz+b64", "gzip+base64"])
def test_encoded_contents(encoding: str) -> None:
    data = bytes(range(256))
    content = base64.b64encode(gzip.compress(data) if encoding.startswith("gz") else data).decode()
    (item,) = read(f"write_files: [{{path: /x, encoding: {encoding}, content: '{content}'}}]\n").plan.early
    assert held(item) == data


def test_a_content_as_it_stands() -> None:
    (item,) = read("write_files:\n- path: /x\n  content: |\n    böse \\n 'E'\n    E\n").plan.early
    assert held(item) == "böse \\n 'E'\nE\n".encode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "/x 644 root:root ''"),
        (", permissions: 0600", "/x 600 root:root ''"),
        (", permissions: '0o4755'", "/x 4755 root:root ''"),
        (", permissions: 0o755, owner: 'root:adm'", "/x 755 root:adm ''"),
        (", append: yes", "/x 644 root:root append"),
    ],
)
def test_modes_and_owners(text: str, words: str) -> None:
    (item,) = read(f"write_files: [{{path: /x{text}}}]\n").plan.early
    assert item.text.startswith(f"put {words} <<'E'\n") and item.once == ("append" in text)


def test_host_names() -> None:
    assert read("hostname: web\n").hostname == "web"
    assert read("hostname: web\nfqdn: web.example.org\nmanage_etc_hosts: true\n").hostname == "web.example.org"


def test_what_is_unknown_is_named() -> None:
    users = "users: [default, {name: ann, uid: 5, homedir: /x}]\n"
    found = read(f"apt: {{}}\n{users}write_files: [{{path: /x, defer: true}}]\n")
    assert found.unknown == ("write_files.0.defer", "users.1.uid", "users.1.homedir", "apt")


BAD = {
    "a: b\nc: d: e\n": "line 3: mapping values are not allowed in this context",
    "a: &x 1\nb: *x\n": "line 3: aliases are not read",
    "a: !!binary x\n": "line 2: tags are not read: tag:yaml.org,2002:binary",
    "a: '\udcff'\n": "line 2: is not UTF-8",
    f"a: {'[' * 40}": "line 2: more than 20 levels deep",
    "a: b\n---\nc: d\n": "line 3: but found another document",
    "[a, b]\n": "all of it must be a map of keys",
    "hostname: a_b c\n": "hostname: ",
    "hostname: [a]\n": "hostname must be a text",
    "timezone: ../../etc/shadow\n": "timezone is no name of one: '../../etc/shadow'",
    "packages: ['-o x']\n": "packages.0 is no name of a package",
    "users: [{name: 'a;b'}]\n": "users.0.name is no name of a user or a group: 'a;b'",
    "users: [{shell: /bin/sh}]\n": "users.0.name is no name of a user or a group: ''",
    "users: [{name: ann, groups: 'adm, $x'}]\n": "users.0.groups is no name of a user or a group: '$x'",
    "users: [{name: ann, sudo: \"ALL\\nroot ALL\"}]\n": "users.0.sudo.0 must be one line",
    "users: [{name: ann, passwd: secret}]\n": "users.0.passwd must be a hash, as `mkpasswd` prints it",
    "users: [{name: ann, lock_passwd: perhaps}]\n": "users.0.lock_passwd must be true or false",
    "users: [{name: ann, ssh_authorized_keys: [x]}]\n": "users.0.ssh_authorized_keys.0: no public key of OpenSSH",
    "chpasswd: {list: 'ann:RANDOM'}\n": "chpasswd.list: a password for ann must be given",
    "write_files: [{content: x}]\n": "write_files.0.path must be the absolute path of a file",
    "write_files: [{path: /x, permissions: rw}]\n": "write_files.0.permissions must be octal digits",
    "write_files: [{path: /x, encoding: rot13}]\n": "write_files.0.encoding is not known: rot13",
    "write_files: [{path: /x, encoding: b64, content: '%'}]\n": "write_files.0.content is not b64: ",
    "runcmd: [{a: b}]\n": "runcmd.0 must be a text or a list of texts",
}


@pytest.mark.parametrize(("text", "why"), BAD.items(), ids=range(len(BAD)))
def test_what_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError) as raised:
        read(text)
    assert str(raised.value).startswith(why) and "\n" not in str(raised.value)


def test_a_small_file_that_unpacks_to_a_huge_one() -> None:
    content = base64.b64encode(gzip.compress(bytes(64 << 20))).decode()
    with pytest.raises(ValueError, match="cut short, or too long"):
        read(f"write_files: [{{path: /x, encoding: gz+b64, content: {content}}}]\n")


@pytest.mark.parametrize("text", ["", "hello", "#cloud-boothook\n", "#include\nhttp://x", "Content-Type: text/x"])
def test_what_is_neither(text: str) -> None:
    with pytest.raises(ValueError, match=r"^line 1: must be #cloud-config, or begin with #!$"):
        reader.read(text)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60))
def test_no_text_becomes_shell(text: str) -> None:
    """Whatever somebody writes, the script parses, and runs nothing of it."""
    config = f"final_message: {text!r}\nwrite_files: [{{path: {('/' + text + 'x')!r}}}]\nruncmd: [[{text!r}]]\n"
    try:
        found = read(config)
    except ValueError:
        return
    lines = script.of("0", "late", (*found.plan.early, *found.plan.late))
    checked = subprocess.run(["sh", "-n"], input=lines.encode(), capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")


def test_a_plan_is_kept() -> None:
    found = read(f"users: [{{name: ann, ssh_authorized_keys: ['{KEY}']}}]\nruncmd: [x]\n").plan
    keys = plan.load(found.dump()).keys
    whole = found.with_keys((sshkeys.public_key(KEY),))
    assert plan.load(whole.dump()) == whole and keys == ()
    assert whats(whole.before_services)[0] == "ssh keys of root"
    assert Plan().id != Plan().id
    for text in ("", "{}", "[]", '{"early": [[1]], "late": [], "keys": [], "late_begun": 0, "id": ""}'):
        with pytest.raises(ValueError):
            plan.load(text)
