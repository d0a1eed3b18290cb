"""What the value of a setting becomes: the text of a command line in, the text of the configuration file out.

One parser per kind of setting, for the rows of `hostd.config.settings`.  Pure; ValueError(text for the user) for a
value that cannot be used.
"""

import os
from collections.abc import Callable

from hostd.config import addresses, bounds, meminfo, permits, values

Parse = Callable[[str], str]


def yes_no(text: str) -> str:
    return "yes" if values.yes_no(text) else "no"


def onboot(text: str) -> str:
    return "auto" if text == "auto" else yes_no(text)


def number(low: int, high: int) -> Parse:
    parse = values.integer(low, high)
    return lambda text: str(parse(text))


def barrier_limit(unit: Callable[[str], int]) -> Parse:
    """`a:b` in plain numbers; a single value stays one."""

    def parse(text: str) -> str:
        pair = values.bar_limit(text, unit)
        return values.pair_text(pair) if ":" in text else values.count_text(pair[0])

    return parse


def soft_hard(unit: Callable[[str], int]) -> Parse:
    """Always `soft:hard` in plain numbers, as libvirt wants it."""
    return lambda text: values.pair_text(_positive(values.bar_limit(text, unit)))


def _positive(pair: values.Pair) -> values.Pair:
    if 0 in pair:
        raise ValueError("must be more than 0")
    return pair


def ram(text: str) -> str:
    return f"0:{_positive((values.memory_pages(text),) * 2)[0]}"


def swap(text: str) -> str:
    return f"0:{values.memory_pages(text)}"


def physpages(text: str) -> str:
    return barrier_limit(values.size_pages)(bounds.some(text, values.size_pages))


def numproc(text: str) -> str:
    return barrier_limit(values.items)(bounds.some(text, values.items))


def cpulimit(text: str) -> str:
    return str(values.cpu_limit(text, os.cpu_count() or 1))


def iolimit(text: str) -> str:
    return str(values.io_limit(text))


def name(text: str) -> str:
    return values.name(text) if text else ""


def address_list(text: str) -> str:
    return addresses.addresses_text(addresses.addresses(text))


def ip_delete(text: str) -> str:
    return text if text == "all" else address_list(text)


def name_servers(text: str) -> str:
    return " ".join(addresses.usable_name_servers(text))


def search_domains(text: str) -> str:
    return " ".join(map(values.domain, text.split()))


def features(text: str) -> str:
    return values.switches_text(values.switches(text, upper=False, known=values.FEATURES))


def capabilities(text: str) -> str:
    return values.switches_text(values.switches(text, upper=True, known=values.CAPABILITIES))


def devices(text: str) -> str:
    return permits.text(permits.devices(one_word(text)))


def devnodes(text: str) -> str:
    return permits.text(permits.devnodes(one_word(text)))


def one_word(text: str) -> str:
    if len(text.split()) != 1:
        raise ValueError("must be one; repeat the option for others")
    return text


def shown_memory(text: str) -> str:
    mode, count = meminfo.parse(text)
    return f"{mode}:{count}" if count else mode


def user_password(text: str) -> str:
    user, mark, password = values.one_line(text).partition(":")
    if not mark or not user or not password:
        raise ValueError("must be USER:PASSWORD")
    return text


netfilter = values.one_of("disabled", "stateless", "stateful", "full")
