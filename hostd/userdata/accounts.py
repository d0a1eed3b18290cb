"""The users of cloud-config, their keys and their passwords, as items of a plan."""

import re
from collections.abc import Iterator, Sequence
from shlex import quote

from hostd.userdata import sshkeys
from hostd.userdata.fields import Fields
from hostd.userdata.plan import Item, authorize
from hostd.userdata.sshkeys import PublicKey

DEFAULT = "default"  # the user that a cloud's image has: here it is root
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_HASH = re.compile(r"[!*]*\$[A-Za-z0-9]+\$[A-Za-z0-9./$=,+-]+")


def users(fields: Fields) -> Iterator[Item]:
    """Each a map, or nothing but a name."""
    for entry in fields.maps("users", of_text="name"):
        if entry.line("name") != DEFAULT:
            yield from _user(entry)
        entry.rest()


def root_keys(fields: Fields) -> tuple[Item, ...]:
    return authorize("root", keys(fields))


def keys(fields: Fields) -> Sequence[PublicKey]:
    found = []
    for number, line in enumerate(fields.lines("ssh_authorized_keys")):
        try:
            found.append(sshkeys.public_key(line))
        except ValueError as error:
            raise ValueError(f"{fields.name('ssh_authorized_keys')}.{number}: {error}") from None
    return tuple(dict.fromkeys(found))


def _user(fields: Fields) -> Iterator[Item]:
    name = user_name(fields.line("name"), fields.name("name"))
    groups = [user_name(group, fields.name("groups")) for group in fields.words("groups")]
    shell, gecos = fields.line("shell"), fields.line("gecos")
    if (shell and not shell.startswith("/")) or ":" in shell + gecos:
        raise ValueError(f"{fields.name('shell')} must be a path, and no colon in it or in gecos")
    lines = [f"make_user {quote(name)} {quote(shell)} {quote(gecos)} || return"]
    lines += [f"join_group {quote(name)} {quote(group)} || return" for group in groups]
    yield Item(f"user {name}", "\n".join(lines))
    yield from _sudo(fields, name)
    yield from authorize(name, keys(fields))
    yield from _password(fields, name)


def _sudo(fields: Fields, name: str) -> Iterator[Item]:
    rules = [rule for rule in fields.lines("sudo") if rule.lower() not in ("false", "null", "~")]
    if rules:
        text = "".join(f"{name} {rule}\n" for rule in rules)
        yield Item(f"sudo of {name}", f"allow {quote(name)} <<'E'\n{text}E")


def _password(fields: Fields, name: str) -> Iterator[Item]:
    """As in cloud-init a password is locked unless `lock_passwd` is false: then only a key lets in."""
    plain, hashed = fields.line("plain_text_passwd"), fields.line("passwd")
    if hashed and not _HASH.fullmatch(hashed):
        raise ValueError(f"{fields.name('passwd')} must be a hash, as `mkpasswd` prints it")
    lines = [_set([(name, hashed)], hashed=True)] if hashed else [_set([(name, plain)])] if plain else []
    if fields.flag("lock_passwd", True):
        lines.append(f"lock {quote(name)}")
    if lines:
        yield Item(f"password of {name}", "\n".join(lines))


def passwords(fields: Fields) -> Iterator[Item]:
    """chpasswd: `list` as text or as a list, `users` as maps; `expire` unless it is said to be false."""
    given = fields.map("chpasswd")
    text = given.raw("list")
    rows = text.split("\n") if isinstance(text, str) else given.lines("list")
    plain, hashed = list[tuple[str, str]](), list[tuple[str, str]]()
    for row in filter(None, map(str.strip, rows)):
        name, _, secret = row.partition(":")
        (hashed if _HASH.fullmatch(secret) else plain).append((name, secret))
    for entry in given.maps("users"):
        kind = hashed if entry.line("type", "hash") == "hash" else plain
        kind.append((entry.line("name"), entry.line("password")))
        entry.rest()
    expire = given.flag("expire", True)
    given.rest()
    for name, secret in plain + hashed:
        user_name(name, given.name("list"))
        if not secret.isprintable() or secret in ("", "R", "RANDOM"):
            raise ValueError(f"{given.name('list')}: a password for {name} must be given")
    lines = [_set(found, hashed=found is hashed) for found in (plain, hashed) if found]
    lines += [f"expire {quote(name)}" for name, _ in plain + hashed if expire]
    if lines:
        yield Item("passwords", "\n".join(lines))


def _set(rows: Sequence[tuple[str, str]], *, hashed: bool = False) -> str:
    text = "".join(f"{name}:{secret}\n" for name, secret in rows)
    return f"{'set_hashes' if hashed else 'chpasswd'} <<'E' || return\n{text}E"


def user_name(text: str, where: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{where} is no name of a user or a group: {text!r}")
    return text
