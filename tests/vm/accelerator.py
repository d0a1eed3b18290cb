"""KVM, where a stock kernel really boots with it: a host may offer /dev/kvm and yet run no kernel in it."""

import os
import tempfile
from dataclasses import replace

from tests.vm.boot import Order, boot
from tests.vm.cache import Tell
from tests.vm.pieces import Pieces

KVM = ("-accel", "kvm", "-cpu", "host")
SECONDS = 20.0  # a kernel that boots takes two


def accelerated(pieces: Pieces, place: str, tell: Tell) -> Pieces:
    """*pieces* with KVM if a trial boot works; the answer is kept in *place* until this machine is booted again."""
    if not pieces.machine.arch.native or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return pieces
    fast = replace(pieces, acceleration=KVM)
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        path = f"{place}/kvm-{pieces.machine.name}-{file.read().strip()}"
    if not os.path.exists(path):
        with tempfile.TemporaryDirectory(dir=place) as scratch:
            outcome = boot(fast, Order("#!/bin/sh\nexit 0\n", seconds=SECONDS, boot_seconds=SECONDS), scratch, _ignore)
        with open(path, "w", encoding="ascii") as file:
            file.write("yes" if outcome.code == 0 else "no")
        if outcome.code != 0:
            tell(f"no KVM here, though there is /dev/kvm: {outcome.why}; emulating")
    with open(path, encoding="ascii") as file:
        return fast if file.read() == "yes" else pieces


def _ignore(_: bytes) -> None:
    """Nobody reads a trial."""
