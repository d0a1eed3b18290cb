"""pyroute2's formats of rtnetlink messages, and nothing else of it.

The package itself, when it is imported, imports all that it has: 200 modules, 10 MiB, 100 ms.  The formats need none of
that, so they are found below a package that was made and not executed.
"""

import importlib.util
import sys
from functools import cache
from types import ModuleType
from typing import Any, cast

AF_BRIDGE = 7  # of <linux/socket.h>; the socket module has no such name everywhere


@cache
def formats() -> dict[str, type[Any]]:
    """The classes of messages about a link, an address, a route, a neighbour (20 ms, 1 MiB, at the first call)."""
    if "pyroute2" not in sys.modules:
        sys.modules["pyroute2"] = _not_executed("pyroute2")
        sys.modules["pyroute2.config"] = _configuration()
    from pyroute2.netlink.rtnl import ifaddrmsg, ifinfmsg, ndmsg, rtmsg

    return {
        "link": ifinfmsg.ifinfmsg,
        "address": ifaddrmsg.ifaddrmsg,
        "route": rtmsg.rtmsg,
        "neighbour": ndmsg.ndmsg,
    }


def _not_executed(name: str) -> ModuleType:
    """The package *name* without its content: only where its modules are."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return importlib.util.module_from_spec(spec)


def _configuration() -> ModuleType:
    """What the formats read of pyroute2.config, which imports platform and multiprocessing (0.7 MiB)."""
    config: Any = ModuleType("pyroute2.config")
    config.AF_BRIDGE = AF_BRIDGE
    config.data_plugins_pkgs, config.data_plugins_path = [], []
    return cast(ModuleType, config)
