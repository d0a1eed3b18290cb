"""python -m tests.vm VERB MACHINE: behind the targets of the Makefile that have vm in their names."""

import argparse
import os
import shlex
import signal
import sys
from dataclasses import replace

from images.errors import BuildError
from tests.harness.installation import CHECKOUT
from tests.vm import runner, summary
from tests.vm.accelerator import accelerated
from tests.vm.boot import Order, end_all
from tests.vm.machines import MACHINES
from tests.vm.pieces import Pieces, pieces, templates
from tests.vm.selection import arguments, shares
from tests.vm.shell import shell
from tests.vm.tree import tree

OUT = f"{CHECKOUT}/build/vm"
VERBS = {
    "image": "make what the machine needs",
    "test": "run the suite, or what comes behind -- as pytest takes it, inside",
    "shell": "a shell inside",
    "footprint": "the memory of hostd and three containers inside",
    "run": "what comes behind --, inside, in the tree",
}


def tell(text: str) -> None:
    print(f"vm: {text}", flush=True)


def main() -> int:
    """Entry point.  The status of pytest; 125 when the machine died or did not end in time; 1 for the rest."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)  # what follows is pytest's
    options = parser().parse_args(words[:end])
    if options.verb == "summary":
        return summary.main(options.records or runner.records(f"{CHECKOUT}/build"))
    try:
        made = pieces(options.machine, f"{options.cache}/vm", tell)
        if options.verb == "image":
            return 0
        os.makedirs(OUT, exist_ok=True)
        made = accelerated(made, OUT, tell)
        order = order_of(made, options)
        if options.verb == "shell":
            return shell(made, replace(order, append=(*order.append, "vm.shell")))
        if options.verb in ("footprint", "run"):
            command = runner.script(made, *(runner.FOOTPRINT if options.verb == "footprint" else words[end + 1 :]))
            return runner.run(made, [command], order, f"{OUT}/{options.machine}-{options.verb}")
        return test(made, order, words[end + 1 :], options)
    except (BuildError, OSError) as error:
        print(f"vm: {error}", file=sys.stderr)
        return 1


def leave(number: int, _: object) -> None:
    """A signal: through all that cleans up, and no machine goes on."""
    end_all()
    sys.exit(128 + number)


def order_of(made: Pieces, options: argparse.Namespace) -> Order:
    """The disks and options of a run, without its command."""
    choices = {"cgroup": options.cgroup, "init": options.init}
    return Order(
        command="",
        append=tuple(f"vm.{name}={value}" for name, value in choices.items() if value),
        tree=tree(made.machine, made.root, OUT, tell),
        templates=templates(made.machine, f"{options.cache}/images", f"{options.cache}/vm", tell),
        memory_mib=options.memory,
        cpus=options.cpus,
        seconds=options.minutes * 60,
    )


def test(made: Pieces, order: Order, words: list[str], options: argparse.Namespace) -> int:
    """The suite inside; results come to build/vm/MACHINE[-v1…]/SHARD."""
    part, parts = options.part
    name = "-".join([made.machine.name, *(word.partition("=")[2] for word in order.append)])
    name += f"-part{part}" if parts > 1 else ""
    words = arguments(words, made.machine.tests, everything=options.all)
    commands = [
        runner.script(made, *runner.PYTEST, share, *words, thinned=made.emulated and not options.all)
        for share in shares(words, options.shards, part, parts)
    ]
    tell(f"{name}: {shlex.join(words)} in {len(commands)} machines of {order.memory_mib} MiB")
    return runner.run(made, commands, order, f"{OUT}/{name}")


def part(text: str) -> tuple[int, int]:
    """K/N, as --part has it."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text} is not K/N, as in 2/4")
    return int(number), int(count)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m tests.vm", description="vzhost on stock kernels in QEMU.")
    verbs = top.add_subparsers(dest="verb", required=True)
    for verb, about in VERBS.items():
        one = verbs.add_parser(verb, help=about)
        one.add_argument("machine", choices=MACHINES)
        one.add_argument("--cache", default="/var/cache/vzhost", metavar="DIR")
        one.add_argument("--cgroup", choices=("v1", "hybrid"), help="default: v2 only")
        one.add_argument("--init", choices=("systemd",), help="default: a script, which is 5 s faster")
        one.add_argument("--memory", type=int, default=2048, metavar="MIB")
        one.add_argument("--cpus", type=int, default=1)
        one.add_argument("--minutes", type=float, default=240, help="limit of the whole run")
        one.add_argument("--all", action="store_true", help="the tests marked userland, and all combinations, too")
        one.add_argument("--shards", type=int, default=2, help="machines that share the tests, at the same time")
        one.add_argument("--part", type=part, default=(1, 1), metavar="K/N", help="of N runs with all tests, the Kth")
    records = verbs.add_parser("summary", help="which feature was exercised on which kernel")
    records.add_argument("records", nargs="*", metavar="JUNIT_XML")
    return top


if __name__ == "__main__":
    sys.exit(main())
