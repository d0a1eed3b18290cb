"""A disk of its own for what is measured: a loop device with an I/O scheduler that the machine's disk may not have."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

SIZE = 16 << 30  # bytes; sparse


@contextmanager
def of_its_own(scheduler: str) -> Iterator[str]:
    """The path of a directory on it.  Raises CalledProcessError, or OSError for a scheduler that is not there."""
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="vzt-disk-", dir="/var/tmp"))
        image, place = f"{directory}/image", f"{directory}/mounted"
        with open(image, "wb") as file:
            os.truncate(file.fileno(), SIZE)
        os.mkdir(place)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        attach = ["losetup", "--find", "--show", "--direct-io=on", image]
        device = subprocess.run(attach, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        stack.callback(subprocess.run, ["losetup", "--detach", device], check=True)
        with open(f"/sys/block/{os.path.basename(device)}/queue/scheduler", "w", encoding="ascii") as file:
            file.write(scheduler)
        subprocess.run(["mount", device, place], check=True)
        stack.callback(subprocess.run, ["umount", place], check=True)
        yield place
