"""The containers that run, for commands that show figures of all of them."""

from collections.abc import Collection, Sequence, Set

from hostd.command.figures import Usage
from hostd.command.host import Host
from hostd.command.row import Row, conf_of
from hostd.config.veconf import VeConf
from hostd.errors import BadConfig, NoConfig


def row(host: Host, ctid: int) -> Row:
    """What is known of the container *ctid* without asking the kernel.  Raises NoConfig of one that does not run."""
    facts = host.facts(ctid)
    try:
        conf = conf_of(host, ctid, facts)
    except BadConfig:
        conf = VeConf()
    return Row(ctid, facts, Usage(), conf, host.confs.globals())


def rows(host: Host, ctids: Collection[int] | None = None) -> list[Row]:
    """Those that run, of *ctids* or of all, by their numbers."""
    wanted = [ctid for ctid in host.ids() if (ctids is None or ctid in ctids) and host.facts(ctid).running]
    found = []
    for ctid in wanted:
        try:
            found.append(row(host, ctid))
        except NoConfig:
            continue  # destroyed meanwhile
    return found


async def counted(host: Host, rows: Sequence[Row], names: Set[str]) -> list[Row]:
    """*rows* with the beancounters *names*."""
    usages = await host.usage({one.ctid: names for one in rows}) if rows else {}
    return [one._replace(usage=usages.get(one.ctid, Usage())) for one in rows]
