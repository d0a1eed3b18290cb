"""python -m images.completion DIR: bash completion of the commands.

The code is in `completion.bash` beside this file; the tables that it reads are made from those of the commands.
"""

import os
import shlex
import sys
from collections.abc import Iterable, Mapping

from hostd.cli import place
from hostd.command import completion
from hostd.command.completion import Value
from images.deploy import BESIDE, write

CODE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "completion.bash")


def script() -> str:
    """The whole file."""
    with open(CODE, encoding="utf-8") as file:
        code = file.read()
    names = {name: verb for verb in completion.verbs() for name in (verb.name, *verb.aliases)}
    optional = {name: verb for name, verb in names.items() if verb.options}
    values, list_values = completion.option_values(), completion.list_values()
    tables = (
        _array("_vz_commands", completion.commands()),
        _array("_vz_optional", optional),
        _array("_vz_list_options", completion.list_options()),
        _array("_vz_list_taking", list_values),
        _function("_vz_options", {name: ("words", *completion.options(verb)) for name, verb in optional.items()}),
        _function("_vz_behind_verb", {name: completion.containers(verb) for name, verb in names.items()}),
        _function("_vz_argument", {name: completion.argument(verb) for name, verb in names.items()}),
        _function("_vz_value", values, otherwise="return 1"),
        _function("_vz_list_value", list_values),
        _function("_vz_tool_options", completion.tool_options()),
        _function("_vz_tool_value", completion.tool_values(), otherwise="return 1"),
        _function("_vz_tool_word", completion.tool_words()),
        *(f"_{name}() {{ _vz_tool {name}; }}\ncomplete -F _{name} {name}\n" for name in completion.tools()),
    )
    return "\n".join((code, *tables))


def _array(name: str, words: Iterable[str]) -> str:
    return f"{name}=({shlex.join(words)})\n"


def _function(name: str, offers: Mapping[str, Value], *, otherwise: str = ":") -> str:
    """A function that makes the offer for its argument; *otherwise* for one that is not among them."""
    labels: dict[Value, list[str]] = {}
    for label, offer in offers.items():
        labels.setdefault(offer, []).append(label)
    cases = [f"    {'|'.join(found)}) _vz_{shlex.join(offer)} ;;" for offer, found in labels.items()]
    return "\n".join([f"{name}() {{", "    case $1 in", *cases, f"    *) {otherwise} ;;", "    esac", "}\n"])


def main(directory: str) -> None:
    text = script()
    for name in (*place.PROGRAMS, *BESIDE):  # bash looks a command's completion up by its name
        write(os.path.join(directory, name), text)


if __name__ == "__main__":
    main(sys.argv[1])
