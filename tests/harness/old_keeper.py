"""hostd with a keeper of the time before helpers: it does not know of them, and does not say that it does.

    python3 old_keeper.py hostd

Everything else, and what an upgrade executes, is of today: as after an exchange of the files below a running keeper.
"""

import os
import runpy
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from hostd.keeper import daemon, keeper
from vzinit.protocol import Fields, encode


def greeting(verb: str, **fields: object) -> bytes:
    fields.pop("helpers", None)
    return encode(verb, **fields)


class OldKeeper(keeper.Keeper):
    def obey(self, verb: str, fields: Fields, fds: list[int]) -> None:
        super().obey("of the future" if verb == "helper" else verb, fields, fds)


if __name__ == "__main__":
    daemon.encode = greeting  # type: ignore[attr-defined]
    keeper.Keeper = OldKeeper  # type: ignore[misc]
    sys.argv[:] = [shutil.which(sys.argv[1]) or sys.argv[1]]
    sys.orig_argv[:] = [sys.executable, *sys.argv]
    runpy.run_path(sys.argv[0], run_name="__main__")
