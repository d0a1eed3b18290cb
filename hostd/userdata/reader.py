"""User data of any kind: a script, or cloud-config."""

from typing import NamedTuple

from hostd.userdata import cloud_config, files, yaml_text
from hostd.userdata.fields import Fields
from hostd.userdata.plan import Plan

LONGEST = 256 << 10  # characters; a cloud takes 16 to 64 KiB


class UserData(NamedTuple):
    """`hostname` is a setting of the host's ("" without), `unknown` the keys that nothing is done about."""

    plan: Plan
    hostname: str = ""
    unknown: tuple[str, ...] = ()


def read(text: str) -> UserData:
    """ValueError names the line, or the key, that cannot be used."""
    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST >> 10} KiB")
    first = text.split("\n", 1)[0].rstrip()
    if first.startswith("#!"):
        if "\0" in text:
            raise ValueError("line 1: a program, and no script")
        return UserData(Plan(late=(files.script("script", text),)))
    if first != "#cloud-config":
        raise ValueError("line 1: must be #cloud-config, or begin with #!")
    return _cloud_config(text)


def _cloud_config(text: str) -> UserData:
    for number, line in enumerate(text.split("\n"), 1):
        if any("\udc80" <= char <= "\udcff" for char in line):
            raise ValueError(f"line {number}: is not UTF-8")
    unknown: list[str] = []
    fields = Fields(yaml_text.read(text) or {}, "", unknown)
    hostname = cloud_config.hostname(fields)
    early, late = (cloud_config.items(rows, fields) for rows in (cloud_config.EARLY, cloud_config.LATE))
    fields.rest()
    return UserData(Plan(early, late), hostname, tuple(dict.fromkeys(unknown)))
