"""vzcfgscale: multiply the parameters of a configuration.  Comments, order and what it does not know stay."""

import os
import re
import shutil
from collections.abc import Callable

from hostd.command.call import typed_path
from hostd.command.grammar import Grammar, Option
from hostd.command.programs import Tool
from hostd.command.tools import conf_file, vzcfgvalidate
from hostd.config import values
from hostd.config.bounds import NO_LIMIT
from hostd.config.settings import BEANCOUNTERS
from hostd.config.values import UNLIMITED, Pair
from hostd.config.veconf import VeConf
from hostd.errors import Failure, Usage

OPTIONS = (
    Option("output-file", "o", value=True),
    Option("all", "a", value=True),
    Option("cpu-only", "c", value=True),
    Option("disk-only", "d", value=True),
    Option("ubc-only", "u", value=True),
    Option("network-only", "n", value=True),
    Option("validate", "v"),
    Option("remove", "r"),
    Option("help", "h"),
)
GRAMMAR = Grammar(OPTIONS, prog="vzcfgscale")
HELP = """Usage: vzcfgscale [options] FILE

  -o, --output-file FILE   write it there, and not to standard output; what was there is kept as FILE.bak
  -a, --all X              multiply all parameters by X
  -c, --cpu-only X         the CPU weight
  -d, --disk-only X        the limits of the disk
  -u, --ubc-only X         the beancounters
  -n, --network-only X     the limits of bandwidth
  -v, --validate           fail when the beancounters do not fit together
  -r, --remove             leave out what belongs to one container: names, addresses, places
"""
_OF_ONE = (
    *("NAME", "HOSTNAME", "NAMESERVER", "SEARCHDOMAIN", "IP_ADDRESS", "NETIF"),
    *("TEMPLATES", "UUID", "VE_ROOT", "VE_PRIVATE"),
)
_LEAST_WEIGHT, _HIGHEST_WEIGHT = 8, 500000

Scaled = Callable[[str, float], str]  # the text of a parameter, times a number


async def run(tool: Tool) -> int:
    if len(tool.parsed.words) != 1:
        raise Usage("Usage: vzcfgscale [options] FILE")
    conf = conf_file.load(tool, tool.parsed.words[0], "No such file {}").copy()
    for option, keys in _KEYS.items():
        factor = _factor(tool, option)
        for key, scaled in keys.items():
            if factor is not None:
                _scale(conf, key, scaled, factor)
    if tool.parsed.has("remove"):
        for key in _OF_ONE:
            conf.unset(key)
    if tool.parsed.has("validate") and not await vzcfgvalidate.validate(tool, conf, vzcfgvalidate.never):
        return 1
    _put(tool, conf)
    tool.console.note("Scale completed: success")
    return 0


def _factor(tool: Tool, option: str) -> float | None:
    """--all goes before the others, as in OpenVZ."""
    text = tool.parsed.last("all") or tool.parsed.last(option)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{0,9})?|\.[0-9]{1,9}", text) or not float(text):
        raise Failure(1, f"Bad parameter {text}")
    return float(text)


def _scale(conf: VeConf, key: str, scaled: Scaled, factor: float) -> None:
    text = conf.get(key)
    if not text:
        return
    try:
        conf.set(key, scaled(text, factor))
    except ValueError as error:
        raise Failure(1, f'{conf.place(key)}: {key}="{text}": {error}') from error


def _put(tool: Tool, conf: VeConf) -> None:
    word = tool.parsed.last("output-file")
    if word is None:
        tool.console.show(conf.text())
        return
    path = typed_path(tool.session, word)
    if os.path.isdir(path):
        raise Failure(1, f"Error: output file {word} is directory")
    if os.path.exists(path):
        if not os.path.isfile(path):  # a device would be replaced by a file
            raise Failure(1, f"Error: output file {word} is not a regular file")
        _keep(path)
    conf_file.save(tool, conf, word)


def _keep(path: str) -> None:
    try:
        shutil.copy2(path, f"{path}.bak")
    except OSError as error:
        raise Failure(1, f"Unable to write {path}.bak: {error.strerror}") from error


# What is multiplied, and how


def _pair(unit: Callable[[str], int]) -> Scaled:
    """Barrier and limit; one value stays one.  What is something stays that: no container runs with nothing."""
    endless = NO_LIMIT if unit in (values.size_pages, values.items) else (UNLIMITED,)

    def times(number: int, factor: float) -> int:
        return number if number in (0, *endless) else max(1, min(int(number * factor), UNLIMITED))

    def scaled(text: str, factor: float) -> str:
        barrier, limit = values.bar_limit(text, unit)
        pair: Pair = (times(barrier, factor), times(limit, factor))
        return values.pair_text(pair) if ":" in text else values.count_text(pair[0])

    return scaled


def _weight(text: str, factor: float) -> str:
    return str(max(_LEAST_WEIGHT, min(int(values.items(text) * factor), _HIGHEST_WEIGHT)))


def _bandwidth(text: str, factor: float) -> str:
    """`DEVICE:CLASS:KILOBITS`, several with blanks between."""
    found = []
    for word in text.split():
        head, mark, number = word.rpartition(":")
        found.append(f"{head}{mark}{int(values.items(number) * factor)}")
    return " ".join(found)


_KEYS: dict[str, dict[str, Scaled]] = {
    "ubc-only": {
        name.upper(): _pair(values.beancounter_unit(name)) for name in (*BEANCOUNTERS, "avnumproc")
    },
    "cpu-only": {"CPUUNITS": _weight},
    "disk-only": {"DISKSPACE": _pair(values.disk_kib), "DISKINODES": _pair(values.items)},
    "network-only": {"RATE": _bandwidth},
}
