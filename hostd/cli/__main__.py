"""`vzctl`, `vzlist`, `vz` and the others: one program under several names (`images.client`).  All that it knows is in
the daemon.
"""

import sys

from hostd.cli import client, place

name = place.program().rpartition("/")[2]
if name == "vzctl" and sys.argv[1:2] == ["top"]:
    from hostd.cli.launch import top

    top(sys.argv[2:])
if name == "vzubc":
    from hostd.cli import watch

    watch.over(sys.argv[1:])
client.main(name if name in place.PROGRAMS else "vzctl")
