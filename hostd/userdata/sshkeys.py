"""Public keys, in the format of OpenSSH's authorized_keys(5): options, type, key, comment."""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import NamedTuple

# What is accepted, and of how many fields such a key consists, its type included.
FIELDS = {
    "ssh-ed25519": 2,
    "ssh-rsa": 3,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "sk-ssh-ed25519@openssh.com": 3,
    "sk-ecdsa-sha2-nistp256@openssh.com": 4,
}
ED25519_BYTES = 32

_OPTIONS = r'(?:(?:[^\s"]|"(?:\\.|[^"\\])*")+[ \t]+)?'
_TYPE = "|".join(map(re.escape, FIELDS))
_LINE = re.compile(rf"{_OPTIONS}(?P<type>{_TYPE})[ \t]+(?P<key>[A-Za-z0-9+/]+={{0,2}})(?:[ \t].*)?")
_PRIVATE = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----|PuTTY-User-Key-File-")


class PublicKey(NamedTuple):
    """`line` as it was written, `key` the part of it by which two lines are the same key."""

    key: str
    line: str


def read(text: str) -> tuple[PublicKey, ...]:
    """The keys of a file; comments and blank lines are none.  ValueError names the first line that cannot be used."""
    found: dict[str, PublicKey] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            one = public_key(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        found.setdefault(one.key, one)
    if not found:
        raise ValueError("there is no key in it")
    return tuple(found.values())


def public_key(line: str) -> PublicKey:
    """The key on *line*.  ValueError."""
    if _PRIVATE.match(line):
        raise ValueError("a private key; give the public one, of the file that ends with .pub")
    match = _LINE.fullmatch(line)
    if not match or not line.replace("\t", " ").isprintable():
        raise ValueError("no public key of OpenSSH")
    fields = _fields(match["key"])
    if len(fields) != FIELDS[match["type"]] or fields[0] != match["type"].encode():
        raise ValueError(f"damaged: that is no {match['type']} key")
    if match["type"] == "ssh-ed25519" and len(fields[1]) != ED25519_BYTES:
        raise ValueError("damaged: an ssh-ed25519 key has 32 bytes")
    return PublicKey(match["key"], line)


def lines(keys: Iterable[PublicKey]) -> str:
    """What `authorize` (`hostd.userdata.shell`) reads."""
    return "".join(f"{one.key} {one.line}\n" for one in keys)


def _fields(text: str) -> list[bytes]:
    """The fields of an encoded key, each written behind its length; none when it is not made so."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        return []
    fields = []
    while data:
        length = int.from_bytes(data[:4], "big")
        if not 0 < length <= len(data) - 4:
            return []
        fields.append(data[4 : 4 + length])
        data = data[4 + length :]
    return fields
