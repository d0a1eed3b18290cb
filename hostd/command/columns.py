"""The fields of vzlist: one row each."""

import re
from collections.abc import Callable
from typing import NamedTuple

from hostd.command.figures import Counter, Usage
from hostd.command.row import Row, status
from hostd.config import values
from hostd.config.model import GlobalConfig, expand
from hostd.config.settings import BEANCOUNTERS

Text = Callable[[Row], str | None]
Value = Callable[[Row], object]


class Column(NamedTuple):
    """`width` as in printf: negative is left-aligned.  `json` None: only as part of another field.

    `key` sorts (None last); `needs` are the parts of `Usage` it reads.
    """

    name: str
    header: str
    width: int
    text: Text
    json: Value | None
    key: Value
    needs: frozenset[str] = frozenset()
    figures: bool = False  # of several digits each: one that is cut is another


def _column(
    name: str, header: str, width: int, text: Text, json: Value | None = None, *, figures: bool = False
) -> Column:
    value = json or text
    return Column(name, header, width, text, value, value, figures=figures)


def _conf(name: str, header: str, width: int, key: str = "") -> Column:
    key = key or name.upper()
    return _column(name, header, width, lambda row: row.text(key))


def _number(name: str, header: str, width: int, key: str = "", default: int | None = None) -> Column:
    key = key or name.upper()

    def value(row: Row) -> int | None:
        found = row.number(key)
        return default if found is None else found

    return _column(name, header, width, lambda row: _shown(value(row)), value)


def _list(name: str, header: str, width: int, key: str) -> Column:
    return _column(
        name, header, width, lambda row: " ".join(row.words(key)) or None, lambda row: row.words(key)
    )


def _addresses(row: Row) -> list[str]:
    """Without prefixes, as the kernel of OpenVZ tells them."""
    return [word.partition("/")[0] for word in row.words("IP_ADDRESS")]


def _boolean(name: str, header: str, width: int, value: Callable[[Row], bool | None]) -> Column:
    return _column(name, header, width, lambda row: _yes_no(value(row)), value)


def _switches(name: str, header: str, width: int) -> Column:
    def value(row: Row) -> dict[str, bool]:
        pairs = (word.partition(":") for word in re.split(r"[,\s]+", row.text(name.upper()) or "") if word)
        return {key.lower(): state.lower() == "on" for key, _, state in pairs}

    def text(row: Row) -> str | None:
        return ",".join(f"{key}:{'on' if state else 'off'}" for key, state in value(row).items()) or None

    return _column(name, header, width, text, value)


def _shown(value: int | None) -> str | None:
    return None if value is None else str(value)


def _yes_no(value: bool | None) -> str | None:
    return None if value is None else ("yes" if value else "no")


def _place(key: str, default: Callable[[GlobalConfig], str]) -> Text:
    def text(row: Row) -> str:
        return row.globals.paths.below(expand(row.conf.get(key) or default(row.globals), row.ctid))

    return text


class Seconds(float):
    """Written in JSON with three decimals."""


class Load(float):
    """Written in JSON with two decimals."""


def _load(row: Row) -> str | None:
    load = row.usage.load
    return None if load is None else "/".join(f"{one:.2f}" for one in load)


def _load_json(row: Row) -> object:
    return None if row.usage.load is None else [Load(one) for one in row.usage.load]


def _uptime(row: Row) -> str | None:
    if row.facts.uptime is None:
        return None
    minutes, seconds = divmod(int(row.facts.uptime), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days:03d}d{hours:02d}h:{minutes:02d}m:{seconds:02d}s"


def _iolimit(row: Row) -> int | None:
    """Bytes per second; a file may say it with a suffix."""
    found = row.pair("IOLIMIT", values.io_bytes)
    return None if found is None else found[0]


def _overcommit(row: Row) -> float | None:
    text = row.text("VM_OVERCOMMIT") or ""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return None
    return float(text) if "." in text else int(text)


def _smart_name(row: Row) -> object:
    return row.text("NAME") or row.ctid


def _beancounter(name: str, header: str) -> list[Column]:
    """The five columns of one beancounter: held, and with a suffix maxheld, barrier, limit, failcnt."""

    def counter(row: Row) -> Counter | None:
        return row.usage.counters.get(name) if row.facts.running else None

    def measured(pick: Callable[[Counter], int | None]) -> Callable[[Row], int | None]:
        def value(row: Row) -> int | None:
            found = counter(row)
            return None if found is None else pick(found)

        return value

    def limit(index: int) -> Callable[[Row], int | None]:
        def value(row: Row) -> int | None:
            found = row.limits(name)
            return None if found is None else found[index]

        return value

    picks = {
        "": measured(lambda one: one.held),
        ".m": measured(lambda one: one.maxheld),
        ".b": limit(0),
        ".l": limit(1),
        ".f": measured(lambda one: one.failcnt),
    }

    def json(row: Row) -> object:
        """Of what does not run nothing is in use; of what runs it may not be known."""
        names = ("held", "maxheld", "barrier", "limit", "failcnt")
        unknown = None if row.facts.running else 0
        found = (pick(row) for pick in picks.values())
        return dict(zip(names, (unknown if one is None else one for one in found), strict=True))

    shown = {"": "processes"} if name == "numproc" else {}  # one file for the figure that every list has, not three
    return [_counted(name, header, end, pick, json, shown.get(end, name)) for end, pick in picks.items()]


def _counted(
    name: str, header: str, end: str, pick: Callable[[Row], int | None], json: Value, need: str
) -> Column:
    needs = frozenset() if end in (".b", ".l", ".s", ".h") else frozenset((need,))
    return Column(
        name + end,
        header + end.upper(),
        10,
        lambda row: _shown(pick(row)),
        None if end else json,
        pick,
        needs,
    )


def _quota(
    name: str, header: str, unit: Callable[[str], int], used: Callable[[Usage], int | None]
) -> list[Column]:
    """The three columns of a disk limit: usage, and with a suffix soft and hard limit."""

    def limit(index: int) -> Callable[[Row], int | None]:
        def value(row: Row) -> int | None:
            found = row.pair(name.upper(), unit)
            return None if found is None else found[index]

        return value

    picks: dict[str, Callable[[Row], int | None]] = {
        "": lambda row: used(row.usage),
        ".s": limit(0),
        ".h": limit(1),
    }

    def json(row: Row) -> object:
        """Of what is not mounted nothing is in use; of what is mounted it may not be known."""
        usage, soft, hard = (pick(row) for pick in picks.values())
        unknown = usage is None and row.facts.mounted
        return {"usage": None if unknown else usage or 0, "softlimit": soft or 0, "hardlimit": hard or 0}

    return [_counted(name, header, end, pick, json, "disk") for end, pick in picks.items()]


_HEADERS = {
    "kmemsize": "KMEMSIZE",
    "lockedpages": "LOCKEDP",
    "privvmpages": "PRIVVMP",
    "shmpages": "SHMP",
    "numproc": "NPROC",
    "physpages": "PHYSP",
    "vmguarpages": "VMGUARP",
    "oomguarpages": "OOMGUARP",
    "numtcpsock": "NTCPSOCK",
    "numflock": "NFLOCK",
    "numpty": "NPTY",
    "numsiginfo": "NSIGINFO",
    "tcpsndbuf": "TCPSNDB",
    "tcprcvbuf": "TCPRCVB",
    "othersockbuf": "OTHSOCKB",
    "dgramrcvbuf": "DGRAMRB",
    "numothersock": "NOTHSOCK",
    "dcachesize": "DCACHESZ",
    "numfile": "NFILE",
    "numiptent": "NIPTENT",
    "swappages": "SWAPP",
}

COLUMNS: tuple[Column, ...] = (
    _column("ctid", "CTID", 10, lambda row: str(row.ctid), lambda row: row.ctid),
    _column("private", "PRIVATE", -32, _place("VE_PRIVATE", lambda one: one.private)),
    _column("root", "ROOT", -32, _place("VE_ROOT", lambda one: one.root)),
    _conf("mount_opts", "MOUNT_OPTS", -16),
    _conf("origin_sample", "ORIGIN_SAMPLE", 32),
    _conf("hostname", "HOSTNAME", -32),
    _conf("name", "NAME", -32),
    _column("smart_name", "SMARTNAME", 10, lambda row: str(_smart_name(row)), _smart_name),
    _conf("description", "DESCRIPTION", -32),
    _conf("ostemplate", "OSTEMPLATE", -32),
    _column("ip", "IP_ADDR", -15, lambda row: " ".join(_addresses(row)) or None, _addresses),
    _list("nameserver", "NAMESERVER", -32, "NAMESERVER"),
    _list("searchdomain", "SEARCHDOMAIN", -32, "SEARCHDOMAIN"),
    _column("status", "STATUS", -9, status),
    *(column for name in BEANCOUNTERS for column in _beancounter(name, _HEADERS[name])),
    *_quota("diskspace", "DSPACE", values.disk_kib, lambda usage: usage.disk_kib),
    *_quota("diskinodes", "DINODES", values.items, lambda usage: usage.disk_inodes),
    Column("laverage", "LAVERAGE", 14, _load, _load_json, lambda row: row.usage.load, frozenset(("load",)), True),
    _column("uptime", "UPTIME", 15, _uptime, lambda row: Seconds(row.facts.uptime or 0), figures=True),
    _number("cpulimit", "CPULIM", 7, default=0),
    _number("cpuunits", "CPUUNI", 7, default=1000),
    _number("cpus", "CPUS", 5),
    _number("ioprio", "IOP", 3),
    _column("iolimit", "IOLIMIT", 10, lambda row: _shown(_iolimit(row)), _iolimit),
    _number("iopslimit", "IOPS", 4),
    _boolean("onboot", "ONBOOT", 6, lambda row: row.boolean("ONBOOT")),
    _number("bootorder", "BOOTORDER", 10),
    _column("layout", "LAYOUT", -6, lambda row: row.conf.get("VE_LAYOUT") or row.globals.layout),
    _switches("features", "FEATURES", -15),
    _boolean("vswap", "VSWAP", 5, lambda row: row.vswap),
    _boolean("disabled", "DISABL", 6, lambda row: bool(row.boolean("DISABLED"))),
    _column("vm_overcommit", "VM_OVC", 6, lambda row: row.text("VM_OVERCOMMIT"), _overcommit),
    _column("netfilter", "NETFILTER", -9, lambda row: row.text("NETFILTER") or "stateless"),
    _switches("capability", "CAPABILITY", -32),
)
BY_NAME: dict[str, Column] = {column.name: column for column in COLUMNS}
BY_NAME |= {"veid": BY_NAME["ctid"], "vpsid": BY_NAME["ctid"]}
