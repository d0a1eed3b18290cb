"""What belongs to no container: half-made images and templates, checkpoints that are none.  What resists stays.

A half-made private area has a note of its create, and goes with that.
"""

from collections.abc import Sequence

from hostd.checkpoint import images_dir
from hostd.config.paths import Paths
from hostd.image import template
from hostd.log import log
from hostd.storage import trash


def sweep(paths: Paths, in_flight: Sequence[str]) -> None:
    """Remove it, but for the checkpoints *in_flight*, what will become one of them, and what is being removed."""
    for work in (
        lambda: _checkpoints(paths.dump_dir, in_flight),
        lambda: trash.sweep(paths.vzrm_dir),
        lambda: trash.sweep_unfinished(paths.template_dir, paths.vzrm_dir),
        lambda: template.sweep(paths),
    ):
        try:
            work()
        except Exception:
            log.exception("cannot remove what an earlier daemon left")


def _checkpoints(directory: str, in_flight: Sequence[str]) -> None:
    kept = {*in_flight, *map(images_dir.part, in_flight), *map(images_dir.gone, in_flight)}
    for path in images_dir.leftovers(directory):
        if path not in kept:
            log.info("removed what was left of a checkpoint: %s", path)
            images_dir.remove(path)
