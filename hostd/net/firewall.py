"""The rule set `inet vzhost`: pure text for nft.

All containers share it: it goes by the interface group of the host ends, so it never changes while containers
come and go, and it never touches other people's `ve*` or `veth*` devices.
"""

from hostd.net.messages import GROUP

TABLE = "vzhost"


def rules(*, nat: bool = False) -> str:
    """One transaction that replaces the whole table.

    A packet from a container passes when the way back to its source leads through the device that it came
    from: exactly the addresses that `plug` routed there, in both families.  With *nat* what leaves the host
    gets the address of the host.
    """
    return f"""\
add table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
    chain spoofing {{
        type filter hook prerouting priority raw; policy accept;
        iifgroup {GROUP} fib saddr . iif oif missing counter drop
    }}
{_NAT if nat else ""}}}
"""


def removal() -> str:
    return f"add table inet {TABLE}\ndelete table inet {TABLE}\n"


_NAT = f"""\
    chain leaving {{
        type nat hook postrouting priority srcnat; policy accept;
        iifgroup {GROUP} oifgroup != {GROUP} masquerade
    }}
"""
