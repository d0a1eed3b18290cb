"""`vzctl`, `vzlist` and `vz`: one program under three names (`images.client`).  All that it knows is in the daemon."""

import sys

from hostd.cli import client, place

name = place.program().rpartition("/")[2]
if name == "vzctl" and sys.argv[1:2] == ["top"]:
    from hostd.cli.launch import top

    top(sys.argv[2:])
client.main(name if name in ("vzlist", "vz") else "vzctl")
