"""One boot of a machine: QEMU with the disks, the command's output as it comes, its exit status, its results."""

import os
import selectors
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.vm import cache
from tests.vm.initrd import initrd
from tests.vm.pieces import Pieces

BOOT_SECONDS = 150.0  # until the command starts: 4 s on an idle machine
RESULTS_MIB = 256
# Kernel options for speed under emulation, and the end of QEMU at a panic.
QUIET = "panic=-1 loglevel=4 mitigations=off nokaslr random.trust_cpu=on"


@dataclass(frozen=True)
class Order:
    """What to run.  *command*: a shell script.  *append*: kernel options (`vm.cgroup=v1`, `vm.init=systemd`).

    *seconds*: limit of the whole run.  *tree*, *templates*: disks, "" for none.  *net*: -netdev options without id.
    """

    command: str
    append: tuple[str, ...] = ()
    tree: str = ""
    templates: str = ""
    memory_mib: int = 2048
    cpus: int = 1
    seconds: float = 3600.0
    boot_seconds: float = BOOT_SECONDS
    net: tuple[str, ...] = ()
    number: int = 1  # makes hardware addresses differ
    extra: tuple[str, ...] = ()  # more words for QEMU


@dataclass
class Outcome:
    """How it ended.  *code*: of the command; None: the machine died, hung at boot, or (*slow*) the command did not end.

    *why* says which.  Seconds are by the guest's clock.
    """

    code: int | None = None
    started: bool = False
    slow: bool = False
    why: str = ""
    boot_seconds: float = 0.0
    command_seconds: float = 0.0


_running: set["subprocess.Popen[bytes]"] = set()
_ending = threading.Event()


def end_all() -> None:
    """No machine of this process goes on, and none that dies is tried again."""
    _ending.set()
    for qemu in list(_running):
        qemu.kill()


def ending() -> bool:
    """Somebody wants this process to end."""
    return _ending.is_set()


def boot(pieces: Pieces, order: Order, directory: str, output: Callable[[bytes], None]) -> Outcome:
    """Run *order* to its end; console log, QEMU's own words and results come into *directory*."""
    os.makedirs(directory, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vz-vm-", dir=scratch()) as work:
        with open(f"{work}/initrd", "wb") as file:
            file.write(initrd(pieces.kernel, order.command))
        with open(f"{work}/results", "wb") as file:
            file.truncate(RESULTS_MIB << 20)
        out, out_end = os.pipe()
        status, status_end = os.pipe()
        argv = [
            *command_line(pieces, order, work), "-serial", f"file:{directory}/console.log",
            *port("output", out_end), *port("status", status_end), *order.extra,
        ]  # fmt: skip
        with open(f"{directory}/qemu.log", "wb") as log:
            qemu = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stderr=log, pass_fds=(out_end, status_end),
                env=pieces.environment() | {"TMPDIR": work},
            )  # fmt: skip
        _running.add(qemu)
        os.close(out_end)
        os.close(status_end)
        try:
            outcome = _follow(qemu, order, out, status, output)
        finally:
            qemu.kill()
            qemu.wait()
            _running.discard(qemu)
            os.close(out)
            os.close(status)
        if outcome.code is not None:
            _unpack(f"{work}/results", directory)
    return outcome


def command_line(pieces: Pieces, order: Order, work: str) -> list[str]:
    """QEMU without its serial console and ports: processor, kernel, disks."""
    arch = pieces.machine.arch
    append = [f"console={arch.console}", QUIET, *order.append]
    argv = [
        *pieces.tools.qemu(arch, *arch.options, *pieces.acceleration),
        "-smp", str(order.cpus), "-m", str(order.memory_mib),
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-kernel", f"{pieces.kernel}/vmlinuz", "-initrd", f"{work}/initrd", "-append", " ".join(append),
        "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
        *disk("root", pieces.root, "snapshot=on"), *disk("modules", f"{pieces.kernel}/modules.img", "read-only=on"),
        *disk("results", f"{work}/results"),
    ]  # fmt: skip
    for serial, path in (("tree", order.tree), ("templates", order.templates)):
        argv += disk(serial, path, "read-only=on") if path else []
    for index, netdev in enumerate(order.net):
        card = f"virtio-net-pci,netdev=net{index},mac=52:54:00:00:{order.number:02x}:{index:02x},romfile="
        argv += ["-netdev", f"{netdev},id=net{index}", "-device", card]
    return argv


def disk(serial: str, path: str, *options: str) -> list[str]:
    drive = ",".join((f"file={path}", "format=raw", "if=none", f"id={serial}", "cache=unsafe", *options))
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={serial},serial={serial}"]


def port(name: str, fd: int) -> list[str]:
    """A virtio port that the guest writes to: a pipe, since a chardev on /dev/null counts as disconnected."""
    return ["-chardev", f"file,id={name},path=/dev/fd/{fd}", "-device", f"virtserialport,chardev={name},name={name}"]


def _follow(
    qemu: "subprocess.Popen[bytes]", order: Order, out: int, status: int, output: Callable[[bytes], None]
) -> Outcome:
    """Pass the output on until QEMU ends or a limit is reached."""
    outcome, said = Outcome(), b""
    begin = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for fd in (out, status):
            selector.register(fd, selectors.EVENT_READ)
        while selector.get_map():
            limit = order.seconds if outcome.started else order.boot_seconds
            left = begin + limit - time.monotonic()
            if left <= 0:
                outcome.why = f"{'ran' if outcome.started else 'booted'} for more than {limit:.0f} s"
                outcome.slow = outcome.started
                return outcome
            for key, _ in selector.select(left):
                if not (data := os.read(key.fd, 65536)):
                    selector.unregister(key.fd)
                elif key.fd == out:
                    output(data)
                else:
                    said += data
                    understand(said.decode(errors="replace"), outcome)
    code = qemu.wait()
    if outcome.code is None:
        outcome.why = f"the machine ended without a status (QEMU exited with {code})"
    return outcome


def understand(said: str, outcome: Outcome) -> None:
    """`started UPTIME`, `ended CODE UPTIME`"""
    for line in said.splitlines():
        match line.split():
            case ["started", uptime]:
                outcome.started, outcome.boot_seconds = True, float(uptime)
            case ["ended", code, uptime]:
                outcome.code, outcome.command_seconds = int(code), float(uptime) - outcome.boot_seconds


def _unpack(path: str, directory: str) -> None:
    """What the guest's tar wrote onto a raw disk."""
    cache.run("tar", "--extract", "--no-same-owner", "--no-overwrite-dir", f"--directory={directory}", f"--file={path}")


def scratch() -> str:
    """Where changed blocks of the root disk go: memory, if it is there."""
    free = os.statvfs("/dev/shm")
    return "/dev/shm" if free.f_bavail * free.f_bsize > 8 << 30 else "/var/tmp"
