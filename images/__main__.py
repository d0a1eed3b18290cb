"""python -m images: build template tarballs."""

import argparse
import os
import sys
from functools import partial

from images import build
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
        if code := told(name, partial(make, recipe, arch, options.cache, options.output or options.cache)):
            return code
    return 0


def make(recipe: Recipe, arch: str, cache: str, output: str) -> None:
    """Build *recipe* if it is not in *cache* yet, and print where in *output* it is."""
    cached = build.build(recipe, cache, arch, lambda text: print(text, flush=True))
    print(build.publish(cached, output, recipe.file_name(arch)))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m images", description="Build templates for vzctl create.")
    verbs = top.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="name the recipes")
    make = verbs.add_parser("build", help="build images that are not in the cache yet")
    make.add_argument("names", nargs="+", metavar="NAME", help=f"one or more of: {', '.join(RECIPES)}")
    make.add_argument("--cache", default=os.environ.get("VZ_CACHE") or DEFAULT_CACHE, metavar="DIR",
                      help="where built images are kept (default $VZ_CACHE, else %(default)s)")  # fmt: skip
    make.add_argument("--output", metavar="DIR", help="where NAME-ARCH.tar.zst is put (default: the cache)")
    return top


if __name__ == "__main__":
    sys.exit(main())
