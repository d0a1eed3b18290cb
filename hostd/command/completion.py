"""What completion offers, from the tables of the commands: the words of a line, and for each option a kind of value."""

import re
from collections.abc import Iterable

from hostd.command.activity import BY_NAME
from hostd.command.grammar import Option
from hostd.command.programs import PROGRAMS, module
from hostd.command.table import GLOBAL_FLAGS, VERBS, Verb
from hostd.command.tools import vzubc
from hostd.command.verbs import chkpnt, create, restore, start
from hostd.command.vzlist import OPTIONS
from hostd.config import values
from hostd.config.model import LAYOUTS
from hostd.config.settings import BY_OPTION, SETTINGS

Value = tuple[str, ...]  # a kind, a function of images/completion.bash, and its arguments

FREE: Value = ("free",)  # nobody can guess it: nothing is offered, no file either
_OF_OPTION: dict[str, Value] = {
    "applyconfig": ("samples",),
    "applyconfig_map": ("words", "name"),
    "config": ("samples",),
    "dumpfile": ("files",),
    "ipdel": ("addresses",),
    "layout": ("words", *LAYOUTS),
    "ostemplate": ("templates",),
    "private": ("directories",),
    "root": ("directories",),
    "sshkey": ("files",),
    "userdata": ("files",),
    "setmode": ("words", "restart", "ignore"),
    "capability": ("switches", *sorted(name.lower() for name in values.CAPABILITIES)),
    "features": ("switches", *sorted(values.FEATURES)),
}
_OF_LIST: dict[str, Value] = {
    "output": ("list_of", *BY_NAME),
    "sort": ("sort", *BY_NAME),
    "hostname": ("hostnames",),
    "name_filter": ("names",),
    "description": FREE,
}
# The option of vzlist that shows the containers which a verb can be meant for; -a for all others.
_STATES = {
    **dict.fromkeys(("start", "mount", "umount", "restore", "destroy"), "-S"),
    **dict.fromkeys(("stop", "chkpnt", "exec", "exec2", "exec3", "enter"), ""),
}
_LATER = {
    "create": create.LATER,
    "chkpnt": chkpnt.LATER,
    "restore": restore.LATER,
    **dict.fromkeys(("start", "restart"), start.LATER),
}
_OF_TOOL: dict[str, Value] = {
    "file": ("files",),
    "output-file": ("files",),
    "rd": ("directories",),
    "vswap": ("words", "yes", "no"),
}
_WORDS: dict[str, Value] = {"": FREE, "containers": ("containers", "-a"), "files": ("files",)}
_ARGUMENTS: dict[str, Value] = {
    "console": ("words", *map(str, range(1, 13))),
    "enter": ("words", "--exec"),
    "runscript": ("files",),
}


def verbs() -> list[Verb]:
    return [verb for verb in VERBS if verb.module]


def commands() -> list[str]:
    """What may stand where the command stands: verbs and the flags before them."""
    words = [name for verb in verbs() for name in (verb.name, *verb.aliases)]
    return words + [f"--{flag}" for flag in GLOBAL_FLAGS]


def options(verb: Verb) -> list[str]:
    """The long options of *verb* that do something."""
    refused = {row.option for row in SETTINGS if not row.supported}.union(_LATER.get(verb.name, ()))
    return [f"--{one.name}" for one in verb.options if one.name and one.name not in refused]


def containers(verb: Verb) -> Value:
    """Behind the verb: which containers."""
    if verb.name == "create" or not (verb.container or verb.words):
        return FREE
    return ("containers", _STATES.get(verb.name, "-a"))


def argument(verb: Verb) -> Value:
    """Behind the container, of a verb without options."""
    return _ARGUMENTS.get(verb.name, FREE)


def option_values() -> dict[str, Value]:
    """The options of vzctl that take a value, and what is offered for it."""
    taking = [one for verb in verbs() for one in verb.options if one.value]
    return {spelling: _value(one) for one in taking for spelling in _spellings(one)}


def list_values() -> dict[str, Value]:
    """The same of vzlist."""
    taking = [one for one in OPTIONS if one.value]
    return {spelling: _OF_LIST[one.name] for one in taking for spelling in _spellings(one)}


def list_options() -> list[str]:
    return [spelling for one in OPTIONS for spelling in _spellings(one)]


def tools() -> list[str]:
    return [program.name for program in PROGRAMS]


def tool_options() -> dict[str, Value]:
    """By program: what may stand where an option stands."""
    return {
        program.name: ("words", *(word for one in module(program.name).OPTIONS for word in _of_tool(program.name, one)))
        for program in PROGRAMS
    }


def tool_values() -> dict[str, Value]:
    """By program and option, with a colon between: what is offered for its value."""
    return {
        f"{program.name}:{word}": _OF_TOOL.get(one.target, FREE)
        for program in PROGRAMS
        for one in module(program.name).OPTIONS
        if one.value
        for word in _of_tool(program.name, one)
    }


def tool_words() -> dict[str, Value]:
    """By program: what it is asked about."""
    return {program.name: _WORDS[program.what] for program in PROGRAMS}


def _of_tool(program: str, option: Option) -> Iterable[str]:
    return vzubc.spellings(option) if program == "vzubc" else _spellings(option)


def _spellings(option: Option) -> list[str]:
    long = [f"--{option.name}"] if option.name else []
    return [*long, *([f"-{option.short}"] if option.short else [])]


def _value(option: Option) -> Value:
    """By the name of the option, or the words that its metavar lists: `yes|no`, `ADDR|inherit`, `0..7`."""
    if option.target in _OF_OPTION:
        return _OF_OPTION[option.target]
    row = BY_OPTION.get(option.name)
    metavar = row.metavar if row is not None and row.supported else ""
    if span := re.fullmatch(r"(\d)\.\.(\d)", metavar):
        return ("words", *map(str, range(int(span[1]), int(span[2]) + 1)))
    words = [word for word in metavar.split("|") if re.fullmatch(r"[a-z]+", word)]
    return ("words", *words) if words else FREE
