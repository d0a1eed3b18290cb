"""`vzctl`, `vzlist` and `vz`: one program under three names (`images.client`).  All that it knows is in the daemon."""

from hostd.cli import client, place

name = place.program().rpartition("/")[2]
client.main(name if name in ("vzlist", "vz") else "vzctl")
