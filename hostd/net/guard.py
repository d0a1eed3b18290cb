"""Keeping the rules of `protect` where they are: a `flush ruleset` takes everybody's, ours included."""

import asyncio
import socket
import struct

from hostd.errors import Failure
from hostd.log import log
from hostd.net import firewall, protect

# linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
_NETLINK_NETFILTER = 12
_GROUP_NFTABLES = 1 << (7 - 1)  # NFNLGRP_NFTABLES
_TABLE_DELETED = 10 << 8 | 2  # NFNL_SUBSYS_NFTABLES, NFT_MSG_DELTABLE


async def guard(*, nat: bool = False) -> None:
    """Install the rules again whenever somebody deletes them; runs until cancelled.

    The kernel tells of every change of a rule set, so nothing is polled.  A failure is logged, not raised.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETLINK_NETFILTER) as news:
        news.bind((0, _GROUP_NFTABLES))
        while True:
            await _deletion(news)
            if await protect.installed():
                continue  # our own install, which replaces the table
            log.warning("somebody deleted the table %s; installing it again", firewall.TABLE)
            try:
                await protect.install(nat=nat)
            except Failure as error:
                log.error("containers can use foreign addresses: %s", error.message)


async def _deletion(news: socket.socket) -> None:
    """Until a table called like ours is deleted, or news were lost."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            data = await loop.sock_recv(news, 1 << 16)
        except OSError:  # ENOBUFS: too many changes at once; ours may have been among them
            return
        if _mentions(data):
            return


def _mentions(data: bytes) -> bool:
    """Is there a message in *data* that says that our table was deleted?"""
    offset = 0
    while offset + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, offset)
        if kind == _TABLE_DELETED and firewall.TABLE.encode() + b"\0" in data[offset : offset + length]:
            return True
        offset += max(16, (length + 3) & ~3)
    return False
