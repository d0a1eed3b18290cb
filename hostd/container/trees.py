"""Unpacked templates go with the last container that stands on them, once their tarball is another one or gone.

A tree is the lower half of every overlay that was made from it, be that running, mounted, suspended or at rest: without
it the upper half is worth nothing.  So whatever looks like a container counts, and in doubt all trees stay.
"""

import glob
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

from hostd.checkpoint.aside import bounded
from hostd.config.model import GlobalConfig
from hostd.config.paths import Paths
from hostd.config.veconf import VeConf
from hostd.container.ops.destroy import what_it_needs
from hostd.container.storage import layout_named
from hostd.errors import Failure, VzError
from hostd.image import template
from hostd.log import log
from hostd.storage import trash
from hostd.storage.overlay import Overlay

PATIENCE = 60.0  # seconds, for all private areas of a host


class Doubt(Exception):
    """It cannot be told who stands on what; the text says why."""


async def tidied(paths: Paths, globals: GlobalConfig, running: Iterable[str]) -> None:
    """`tidy`, as long as it takes no longer than PATIENCE: of a container on simfs the private area is its root."""
    try:
        await bounded(lambda: tidy(paths, globals, running), PATIENCE)
    except OSError as error:
        log.info("unpacked templates stay as they are: %s", error.strerror)


def tidy(paths: Paths, globals: GlobalConfig, running: Iterable[str]) -> None:
    """Remove the outdated trees that no container stands on; *running* are those that running ones have mounted.

    What cannot be done stays undone, and is told in the log.
    """
    def is_needed(tree: str) -> bool:
        return tree in {*running, *stood_on(paths, globals)}

    try:
        for tree in template.outdated(paths):
            if is_needed(tree):  # who hangs here keeps nobody from the template
                continue
            with template.held(paths, tree):  # a create that was given it has left its note by now
                if not is_needed(tree):
                    trash.discard(tree, paths.vzrm_dir)
                    log.info("%s was removed: no container stands on it, and its template is gone", tree)
    except (Doubt, VzError, OSError) as error:
        log.info("unpacked templates stay as they are: %s", error)


def stood_on(paths: Paths, globals: GlobalConfig) -> Iterator[str]:
    """The trees that containers stand on.  Raises Doubt, OSError."""
    if glob.glob(f"{glob.escape(paths.conf_dir)}/*.conf.creating"):
        raise Doubt("a container is being created")
    folders = {os.path.dirname(paths.private_default)}
    for path in glob.glob(f"{glob.escape(paths.conf_dir)}/*.conf"):
        number = os.path.basename(path).removesuffix(".conf")
        if number.isdecimal() and number != "0":
            try:
                config = what_it_needs(int(number), VeConf.load(path), globals)
                found = layout_named(config.layout).template_of(paths, config.private)
            except VzError as error:  # a bad value, or a disk that is not mounted now
                raise Doubt(f"of CT {number} it cannot be told on which it stands: {error}") from error
            folders.add(os.path.dirname(config.private))
            if found:
                yield found
    yield from _beside(paths, folders | set(_put_aside(paths, globals)))


def _put_aside(paths: Paths, globals: GlobalConfig) -> Iterator[str]:
    """Where the private areas lie whose configuration has been renamed, to `101.conf.bak`, say."""
    for path in glob.glob(f"{glob.escape(paths.conf_dir)}/*.conf.*"):
        number, _, kind = os.path.basename(path).partition(".conf.")
        if number.isdecimal() and kind != "destroyed":
            with suppress(VzError):
                yield os.path.dirname(what_it_needs(int(number), VeConf.load(path), globals).private)


def _beside(paths: Paths, folders: Iterable[str]) -> Iterator[str]:
    """What private areas stand on that no configuration tells of: copies, or those of another host of a cluster."""
    for folder in filter(os.path.isdir, folders):
        for entry in os.scandir(folder):
            with suppress(Failure):
                if found := Overlay().template_of(paths, entry.path):
                    yield found
