"""A person's shell in a machine: the serial console is this terminal; what the machine changes is forgotten."""

import os
import subprocess
import tempfile

from tests.vm.boot import Order, command_line, scratch
from tests.vm.initrd import initrd
from tests.vm.pieces import Pieces

# A shell needs a session and a terminal of its own; the size is asked of the real one.
COMMAND = """#!/bin/sh
export TERM={term} VZ_SLOW=6
export PATH=/src/build/bin:$PATH
exec setsid --ctty --wait sh -c 'stty rows {rows} cols {cols} sane; exec bash' </dev/{console} >/dev/{console} 2>&1
"""
GREETING = "vm: the working tree is /src; `exit` or Ctrl-A x ends the machine, Ctrl-A h lists QEMU's keys"


def shell(pieces: Pieces, order: Order) -> int:
    """Boots, gives the terminal away, returns QEMU's status."""
    size = os.get_terminal_size() if os.isatty(0) else os.terminal_size((80, 24))
    command = COMMAND.format(
        term=os.environ.get("TERM", "vt220"), rows=size.lines, cols=size.columns, console=pieces.machine.arch.console
    )
    with tempfile.TemporaryDirectory(prefix="vz-vm-", dir=scratch()) as work:
        with open(f"{work}/initrd", "wb") as file:
            file.write(initrd(pieces.kernel, command))
        with open(f"{work}/results", "wb") as file:
            file.truncate(1 << 20)
        argv = [
            *command_line(pieces, order, work), "-chardev", "stdio,id=console,mux=on,signal=off",
            "-serial", "chardev:console", "-mon", "chardev=console",
            "-chardev", "file,id=status,path=/dev/null", "-device", "virtserialport,chardev=status,name=status",
        ]  # fmt: skip
        print(GREETING, flush=True)
        return subprocess.run(argv, env=pieces.environment() | {"TMPDIR": work}, check=False).returncode
