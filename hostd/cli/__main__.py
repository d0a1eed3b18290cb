"""`vzctl` and `vzlist`: one program under two names (`images.client`).  Everything it knows is in the daemon."""

from hostd.cli import client, place

client.main("vzlist" if "vzlist" in place.program().rpartition("/")[2] else "vzctl")
