"""Parsers of values, one per kind.  Pure: text in, value out, ValueError(text for the user) when it cannot be used.

Sizes take one suffix letter of either case: B bytes, K M G T powers of 1024, P pages of 4096 bytes.
Without a suffix a number counts in the unit of its parameter.  `unlimited` is UNLIMITED (LONG_MAX), larger
values are clamped to it.
"""

import re
from collections.abc import Callable, Iterable

PAGE = 4096  # bytes; the unit of every *pages parameter, whatever the machine's page size is
UNLIMITED = 2**63 - 1  # LONG_MAX of a 64-bit kernel

_SUFFIXES = {"B": 1, "K": 2**10, "P": PAGE, "M": 2**20, "G": 2**30, "T": 2**40}
_NUMBER = re.compile(r"([0-9]+)(?:\.([0-9]*))?([A-Za-z])?")

Pair = tuple[int, int]  # soft and hard, or barrier and limit


def yes_no(text: str) -> bool:
    """`yes`/`no` as OpenVZ reads them; `on`/`off` too."""
    match text.strip().lower():
        case "yes" | "on":
            return True
        case "no" | "off":
            return False
    raise ValueError("must be yes or no")


def init(text: str) -> str:
    """What is PID 1: vzinit with the image's services, or the image's own init."""
    if text.strip().lower() not in ("vz", "handoff"):
        raise ValueError("must be vz or handoff")
    return text.strip().lower()


def on_off(text: str) -> bool:
    match text.strip().lower():
        case "on":
            return True
        case "off":
            return False
    raise ValueError("must be on or off")


def integer(low: int, high: int) -> Callable[[str], int]:
    """A parser of decimal numbers from *low* to *high*, both included."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,19}", text):
            raise ValueError("must be a number")
        if not low <= int(text) <= high:
            raise ValueError(f"must be from {low} to {high}")
        return int(text)

    return parse


def _scaled(text: str, unit: int) -> tuple[int, int]:
    """The bytes of *text*, a fraction (numerator, denominator); without a suffix a number counts in *unit* bytes."""
    match = _NUMBER.fullmatch(text)
    if not match:
        raise ValueError("must be a number, with one of B K M G T P behind it if you like")
    whole, decimals, suffix = match[1], match[2] or "", match[3]
    if suffix is None:
        return int(whole) * unit, 1  # decimals count only together with a suffix
    if suffix.upper() not in _SUFFIXES:
        raise ValueError(f"unknown suffix {suffix}: B K M G T P are known")
    return int(whole + decimals) * _SUFFIXES[suffix.upper()], 10 ** len(decimals)


def size_bytes(text: str) -> int:
    """Bytes, e.g. `256M`, `1.5G`, `unlimited`."""
    if text == "unlimited":
        return UNLIMITED
    count, parts = _scaled(text, 1)
    return min(count // parts, UNLIMITED)


def size_pages(text: str) -> int:
    """Pages of 4096 bytes; a size that ends within a page counts the whole page."""
    if text == "unlimited":
        return UNLIMITED
    count, parts = _scaled(text, PAGE)
    return min(-(-count // (parts * PAGE)), UNLIMITED)


def memory_pages(text: str) -> int:
    """`--ram` and `--swap`: bytes unless a suffix is given, as pages (`unlimited` is 2^51 pages)."""
    return -(-size_bytes(text) // PAGE)


def disk_kib(text: str) -> int:
    """KiB, e.g. `2G`, `2.2G` (cut off, not rounded)."""
    if text == "unlimited":
        return UNLIMITED
    count, parts = _scaled(text, 1024)
    return min(count // (parts * 1024), UNLIMITED)


def items(text: str) -> int:
    """A count: no suffix is accepted."""
    if text == "unlimited":
        return UNLIMITED
    if not re.fullmatch(r"[0-9]+", text):
        raise ValueError("must be a number without a suffix")
    return min(int(text), UNLIMITED)


def beancounter_unit(name: str) -> Callable[[str], int]:
    """How the values of a beancounter are read."""
    if name in ("kmemsize", "dcachesize"):
        return size_bytes
    return size_pages if name.endswith("pages") else size_bytes if name.endswith("buf") else items


def bar_limit(text: str, unit: Callable[[str], int]) -> Pair:
    """`barrier:limit`, or one value for both.  A barrier above the limit is accepted, as OpenVZ does."""
    first, mark, second = text.partition(":")
    barrier = unit(first)
    return barrier, unit(second) if mark else barrier


def count_text(value: int) -> str:
    return "unlimited" if value == UNLIMITED else str(value)


def pair_text(pair: Pair) -> str:
    return f"{count_text(pair[0])}:{count_text(pair[1])}"


def cpu_limit(text: str, cpus: int) -> int:
    """Percent of one CPU, 0 for none.  `N%` (N <= 100) is a part of the whole machine of *cpus* CPUs."""
    if not text.endswith("%"):
        return integer(0, 100 * 8192)(text)
    return integer(0, 100)(text[:-1]) * cpus


def io_limit(text: str) -> int:
    """Bytes per second, 0 for none; a number without a suffix counts MB.  Clamped to 2^31-1."""
    if text == "unlimited":
        return 0
    return _rate(text, 2**20)


def io_bytes(text: str) -> int:
    """The same in a configuration file, where a number without a suffix counts bytes."""
    return 0 if text == "unlimited" else _rate(text, 1)


def _rate(text: str, unit: int) -> int:
    count, parts = _scaled(text, unit)
    if count < parts and re.search("[1-9]", text):  # it would be 0, and so no limit at all
        raise ValueError("must be 0, for no limit, or at least 1 byte; decimals count only with a suffix, as in 0.5M")
    return min(count // parts, 2**31 - 1)


def ratio(text: str) -> str:
    """A decimal number of at least 1, as written (vm_overcommit)."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or float(text) < 1:
        raise ValueError("must be a number of at least 1")
    return text


def cpu_list(text: str) -> str:
    """`0-3,5`, ascending and as short as it can be, `all` or `auto`."""
    return text if text in ("all", "auto") else list_text(numbers(text))


def node_list(text: str) -> str:
    """The same without `auto`."""
    return text if text == "all" else list_text(numbers(text))


_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def numbers(text: str) -> frozenset[int]:
    """The members of a list of the kernel's: `0-3,5`; every range upwards."""
    ranges = [_RANGE.fullmatch(part) for part in text.split(",")]
    if not all(match and int(match[1]) <= int(match[2] or match[1]) for match in ranges):
        raise ValueError("must be a list such as 0-3,5")
    return frozenset(n for match in ranges if match for n in range(int(match[1]), int(match[2] or match[1]) + 1))


def list_text(members: Iterable[int]) -> str:
    """*members* as such a list."""
    ranges: list[list[int]] = []
    for number in sorted(members):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def ct_id(text: str) -> int:
    """A container id: 1..2147483644; 0 is the host."""
    return integer(0, 2147483644)(text)


def name(text: str) -> str:
    """A container name: letters, digits, blank - + _ . and not a number alone (that would read as a CTID)."""
    if not re.fullmatch(r"[A-Za-z0-9 \-+_.]{1,200}", text):
        raise ValueError("may hold letters, digits, blanks and - + _ .")
    if text.isdigit() or text in (".", "..") or text.startswith("-") or text != text.strip():
        raise ValueError("must not be a number, start with - or have blanks at its ends")
    return text


def one_line(text: str) -> str:
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise ValueError("must be one line of text without control characters")
    return text


def hostname(text: str) -> str:
    """Any text that sethostname(2) takes (64 bytes), without blanks and control characters."""
    one_line(text)
    if not text or any(char.isspace() for char in text):
        raise ValueError("must be a name without blanks")
    if len(text.encode("utf-8", "surrogateescape")) > 64:
        raise ValueError("must not be longer than 64 bytes")
    return text


_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def domain(text: str) -> str:
    """A domain that a resolver can append to a name: dotted labels, the root `.` alone or at the end."""
    if len(text) > 254:
        raise ValueError("must not be longer than 254 characters")
    if text != "." and not all(map(_LABEL.fullmatch, text.removesuffix(".").split("."))):
        raise ValueError(f"{text} is not a domain: labels of 1 to 63 letters, digits, - and _, with dots between")
    return text


def host_domain(text: str) -> str:
    """A host name that others can look up: as `hostname`, of the labels that a domain has."""
    if hostname(text).endswith("."):
        raise ValueError("must not end with a dot")
    return domain(text)


def file_name(text: str) -> str:
    """A word that becomes part of a file name: templates, samples."""
    if not re.fullmatch(r"[A-Za-z0-9_+.@:-]{1,200}", text) or text.startswith((".", "-")):
        raise ValueError("must be a plain name without / and blanks")
    return text


def path(text: str) -> str:
    one_line(text)
    if not text.startswith("/") or "/../" in text + "/":
        raise ValueError("must be an absolute path without ..")
    return text


def switches(text: str, *, upper: bool, known: frozenset[str]) -> dict[str, bool]:
    """`name:on|off` separated by commas or blanks, e.g. FEATURES and CAPABILITY."""
    found: dict[str, bool] = {}
    for word in re.split(r"[,\s]+", text.strip()):
        if not word:
            continue
        key, mark, state = word.partition(":")
        key = key.upper() if upper else key.lower()
        if key not in known:
            raise ValueError(f"{key or word} is unknown; known are {', '.join(sorted(known))}")
        if not mark:
            raise ValueError(f"must be {key}:on or {key}:off")
        found[key] = on_off(state)
    return found


def switches_text(values: dict[str, bool]) -> str:
    return " ".join(f"{key}:{'on' if state else 'off'}" for key, state in values.items())


def one_of(*known: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return text

    return parse


_CAPABILITY_NAMES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
    SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
    AUDIT_WRITE VE_ADMIN SETFCAP
"""
CAPABILITIES = frozenset(_CAPABILITY_NAMES.split())
FEATURES_GIVEN = frozenset(("tun", "fuse", "nesting", "openvz"))  # ours
FEATURES_KEPT = frozenset(("sysfs", "nfs", "nfsd", "sit", "ipip", "ppp", "ipgre", "bridge"))  # OpenVZ's: kept
FEATURES = FEATURES_GIVEN | FEATURES_KEPT
