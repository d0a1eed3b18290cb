"""Where a container is, whatever its files say by now."""

from hostd.config.cache import ConfCache
from hostd.config.model import expand
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.container.record import Record
from hostd.errors import BadConfig, VzError


def places(paths: Paths, confs: ConfCache, ctid: int, record: Record | None) -> tuple[str, str]:
    """VE_PRIVATE and VE_ROOT: of what is mounted, else what the file says, else vz.conf.

    Of a file with a bad value elsewhere, or one that is no configuration, as well.  Without a file there is no
    container that could be started, so its private area is ""; what is mounted is mounted all the same.
    """
    mounted = record if record is not None and record.root else None
    try:
        raw = confs.raw(ctid)
    except BadConfig:
        raw = VeConf()
    except VzError:
        return "", mounted.root if mounted else ""
    if mounted:
        return mounted.private, mounted.root
    private, root = raw.get("VE_PRIVATE"), raw.get("VE_ROOT")
    try:
        private, root = private or confs.globals().private, root or confs.globals().root
    except VzError:
        return "", ""
    return paths.below(expand(private, ctid)), paths.below(expand(root, ctid))
