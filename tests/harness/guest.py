"""Files of a guest for the tests of PID 1: scripts, units, and the start that runs them."""

import os
from collections.abc import Mapping

from tests.harness.pid1 import Pid1

UNITS = "/etc/systemd/system"
WANTS = f"{UNITS}/multi-user.target.wants"
TARGET = {f"{UNITS}/multi-user.target": "[Unit]\nDescription=x\n"}


def script(text: str) -> str:
    return "#!/bin/sh\n" + text


def write(root: str, files: Mapping[str, str]) -> None:
    """Files below *root*; scripts become executable; a text `-> TARGET` makes a symlink."""
    for path, text in files.items():
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        if text.startswith("-> "):
            os.symlink(text[3:], root + path)
            continue
        with open(root + path, "w") as file:
            file.write(text)
        if text.startswith("#!"):
            os.chmod(root + path, 0o755)


def unit(name: str, text: str, **more: str) -> dict[str, str]:
    """A unit that multi-user.target wants."""
    return {f"{UNITS}/{name}": text, f"{WANTS}/{name}": f"-> ../{name}", **TARGET, **more}


def read(root: str, path: str) -> str:
    with open(root + path) as file:
        return file.read()


def start(world: Pid1) -> list[str]:
    """Start; answers the services that failed."""
    world.greet()
    world.request("go")
    return world.expect("running").fields.get("failed", [])
