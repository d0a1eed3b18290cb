"""What belongs to no container: half-made images, templates and files, checkpoints that are none.  What resists stays.

A half-made private area has a note of its create, and goes with that.
"""

import os
import re
from collections.abc import Sequence

from hostd.checkpoint import images_dir
from hostd.config import names
from hostd.config.paths import Paths
from hostd.errors import VzError
from hostd.image import template
from hostd.log import log
from hostd.storage import trash

# What `files.replace` was writing of a container's configuration and notes, and a link that `names.assign` was making.
_HALF_FILE = re.compile(r"\.[0-9]+\.(conf|conf\.creating|conf\.destroying|firstboot)\.[^.]+\.tmp")
_HALF_NAME = re.compile(r"\.[0-9]+\.[^.]+")


def sweep_halves(paths: Paths) -> None:
    """Remove what an earlier daemon was writing when it died.  To be called before this one writes."""
    for directory, half in ((paths.conf_dir, _HALF_FILE), (paths.names_dir, _HALF_NAME)):
        present = os.listdir(directory) if os.path.isdir(directory) else []  # no container may have a name yet
        for name in filter(half.fullmatch, present):
            if half is _HALF_NAME and _is_name(paths, name):
                continue
            try:
                os.unlink(f"{directory}/{name}")
                log.info("removed what was half written: %s/%s", directory, name)
            except OSError as error:
                log.warning("cannot remove what was half written: %s", error)


def _is_name(paths: Paths, name: str) -> bool:
    """Somebody calls his container so; or may, as its configuration cannot be read."""
    try:
        return names.lookup(paths, name) is not None
    except VzError:
        return True


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
