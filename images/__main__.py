"""python -m images: build template tarballs."""

import argparse
import os
import sys

from images import build
from images.errors import BuildError
from images.recipes import RECIPES, find

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
        try:
            cached = build.build(recipe, options.cache, arch, lambda text: print(text, flush=True))
            print(build.publish(cached, options.output or options.cache, recipe.file_name(arch)))
        except (BuildError, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
    return 0


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
