"""CPUMASK and NODEMASK on this machine: what `all` and `auto` stand for, and that what is listed is there."""

from hostd.config.values import list_text, numbers
from hostd.errors import BadValue
from hostd.kernel import topology

KINDS = {"CPUMASK": ("cpu", "processors"), "NODEMASK": ("node", "memory nodes")}


def check(key: str, text: str) -> None:
    """Raises BadValue when the list *text* of *key* has something that this machine has not."""
    if key not in KINDS or text in ("", "all", "auto"):
        return
    kind, name = KINDS[key]
    online = topology.online(kind)
    if absent := numbers(text) - numbers(online):
        raise BadValue(f'{key}="{text}": this machine has no {name} {list_text(absent)}', hint=f"it has {online}")


def masks(cpumask: str, nodemask: str) -> tuple[str, str]:
    """The lists of processors and of memory nodes; "" for all."""
    nodes = "" if nodemask == "all" else nodemask
    if cpumask == "auto":
        near = [topology.processors_of(node) for node in (numbers(nodes) if nodes else ())]
        return list_text(number for text in near if text for number in numbers(text)), nodes
    return "" if cpumask == "all" else cpumask, nodes
