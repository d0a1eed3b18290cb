"""The files and scripts of user data, as items of a plan.

What they hold travels as base64: any bytes, and never shell text of somebody else among ours.
"""

import base64
import binascii
import re
import shlex
import zlib
from collections.abc import Iterator

from hostd.userdata.fields import Fields
from hostd.userdata.plan import Item

MOST_UNPACKED = 4 << 20  # bytes of a file that is given compressed
_BASE64, _GZIP = ("b64", "base64"), ("gz", "gzip")
_BOTH = tuple(f"{gzip}+{base}" for gzip in _GZIP for base in _BASE64)
_MODE = re.compile(r"(?:0o?)?([0-7]{3,4})")
_OWNER = re.compile(r"[A-Za-z0-9_.-]+(?::[A-Za-z0-9_.-]+)?")
ROOT = ("root", "root:root", "0", "0:0")


def early(fields: Fields) -> Iterator[Item]:
    """Those of root, before there are users: what a new home begins with (/etc/skel) may be among them."""
    return (item for owner, item in _files(fields) if owner in ROOT)


def of_users(fields: Fields) -> Iterator[Item]:
    """The others, when their owners are there."""
    return (item for owner, item in _files(fields) if owner not in ROOT)


def _files(fields: Fields) -> Iterator[tuple[str, Item]]:
    for one in fields.maps("write_files"):
        path, owner, mode = one.line("path"), one.line("owner", "root:root"), one.line("permissions")
        append, content = one.flag("append", False), _content(one)
        if not path.startswith("/") or path.endswith("/"):
            raise ValueError(f"{one.name('path')} must be the absolute path of a file")
        if not _OWNER.fullmatch(owner):
            raise ValueError(f"{one.name('owner')} must be USER or USER:GROUP")
        if mode and not (match := _MODE.fullmatch(mode)):
            raise ValueError(f"{one.name('permissions')} must be octal digits")
        one.rest()
        yield owner, put(path, content, match[1] if mode and match else "644", owner, append=append)


def put(path: str, content: bytes, mode: str, owner: str, *, append: bool) -> Item:
    words = " ".join(map(shlex.quote, (path, mode, owner, "append" if append else "")))
    return Item(f"file {path}", f"put {words} <<'E'\n{_encoded(content)}E", once=append)


def _content(fields: Fields) -> bytes:
    data, encoding = fields.text("content").encode(), fields.line("encoding", "text/plain").lower()
    if encoding not in ("text/plain", "", *_BASE64, *_GZIP, *_BOTH):
        raise ValueError(f"{fields.name('encoding')} is not known: {encoding}")
    try:
        if encoding in (*_BASE64, *_BOTH):
            data = base64.b64decode(b"".join(data.split()), validate=True)
        return _unpacked(data) if encoding in (*_GZIP, *_BOTH) else data
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"{fields.name('content')} is not {encoding}: {error}") from None


def _unpacked(data: bytes) -> bytes:
    gzip = zlib.decompressobj(wbits=31)
    found = gzip.decompress(data, MOST_UNPACKED)
    if not gzip.eof:
        raise zlib.error("cut short, or too long")
    return found


def commands(fields: Fields, key: str) -> Iterator[Item]:
    """A list of commands, texts for the shell or lists of words, as one script."""
    lines = []
    for number, one in enumerate(fields.items(key)):
        if isinstance(one, list):
            if not all(isinstance(word, str) for word in one):
                raise ValueError(f"{fields.name(key)}.{number} must be a list of texts")
            one = shlex.join(map(str, one))
        if not isinstance(one, str):
            raise ValueError(f"{fields.name(key)}.{number} must be a text or a list of texts")
        lines.append(one)
    if lines:
        yield script(key, "\n".join(["#!/bin/sh", *lines, ""]))


def script(what: str, text: str) -> Item:
    """A program that is run once, as it is."""
    return Item(what, f"execute <<'E'\n{_encoded(text.encode('utf-8', 'surrogateescape'))}E", once=True)


def _encoded(data: bytes) -> str:
    return base64.encodebytes(data).decode("ascii")
