"""The terminals at which an image has login prompts, by number.  One without its terminal would end for ever."""

from vzinit import inittab
from vzinit.console import LAST_TTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

ACTIONS = ("respawn", "askfirst")


def of_inittab(text: str) -> set[int]:
    lines = [line for line in inittab.parse(text) if line.action in ACTIONS and inittab.is_prompt(line)]
    return numbers(word.rpartition("/")[2] for line in lines for word in (line.name, *line.process.split()))


def of_services(names: "Iterable[str]") -> set[int]:
    """`getty-tty2`, `agetty-tty2` of runit, `agetty.tty2` of OpenRC."""
    prompts = (name for name in names if name.lstrip("a").startswith("getty"))
    return numbers(name.replace(".", "-").rpartition("-")[2] for name in prompts)


def numbers(words: "Iterable[str]") -> set[int]:
    """Of those that are `ttyN`."""
    found = {int(word[3:]) for word in words if word.startswith("tty") and word[3:].isdecimal()}
    return found & set(range(1, LAST_TTY + 1))
