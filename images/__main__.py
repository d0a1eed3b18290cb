"""python -m images: build template tarballs, and prove that they can be built again."""

import argparse
import os
import sys
from dataclasses import replace
from functools import partial

from images import build, reproduce
from images.errors import told
from images.recipes import RECIPES, Recipe, find

DEFAULT_CACHE = "/var/cache/vzhost/images"


def main(argv: list[str] | None = None) -> int:
    """Entry point.  Exit code 1 when an image cannot be built, 2 for a command line that does not parse."""
    options = parser().parse_args(argv)
    arch = os.uname().machine
    if options.verb == "list":
        print("\n".join(RECIPES))
        return 0
    for name in options.names:
        recipe = find(name, arch)
        if recipe is None:
            print(f"no recipe {name!r}: known are {', '.join(RECIPES)}", file=sys.stderr)
            return 1
        if options.snapshot and recipe.suite:
            recipe = replace(recipe, snapshot=options.snapshot)
        if options.tarball and recipe.builder == "tarball":
            recipe = replace(recipe, tarball=options.tarball)
        if code := told(name, partial(VERBS[options.verb], recipe, arch, options)):
            return code
    return 0


def make(recipe: Recipe, arch: str, options: argparse.Namespace) -> None:
    """Build *recipe* if it is not in the cache yet, and print where it is."""
    cached = build.build(recipe, options.cache, arch, say)
    print(build.publish(cached, options.output or options.cache, recipe.file_name(arch)))


def prove(recipe: Recipe, arch: str, options: argparse.Namespace) -> None:
    """Build *recipe* once more, unless that was done before, and print that the same came out."""
    print(f"{recipe.file_name(arch)}: {reproduce.prove(recipe, options.cache, arch, say)}")


def say(text: str) -> None:
    """Progress, as it happens."""
    print(text, flush=True)


VERBS = {"build": make, "prove": prove}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m images", description="Build templates for vzctl create.")
    verbs = top.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="name the recipes")
    builds = verbs.add_parser("build", help="build images that are not in the cache yet")
    proves = verbs.add_parser("prove", help="build images again, and compare")
    for verb in (builds, proves):
        verb.add_argument("names", nargs="+", metavar="NAME", help=f"one or more of: {', '.join(RECIPES)}")
        verb.add_argument("--cache", default=os.environ.get("VZ_CACHE") or DEFAULT_CACHE, metavar="DIR",
                          help="where built images are kept (default $VZ_CACHE, else %(default)s)")  # fmt: skip
        verb.add_argument("--snapshot", default="", metavar="TIME",
                          help="of Debian, from the archive as it was then: 20261101T000000Z")  # fmt: skip
        verb.add_argument("--tarball", default="", metavar="FILE",
                          help="of alpine or rocky, the root file system that the distribution publishes")  # fmt: skip
    builds.add_argument("--output", metavar="DIR", help="where NAME-ARCH.tar.zst is put (default: the cache)")
    return top


if __name__ == "__main__":
    sys.exit(main())
