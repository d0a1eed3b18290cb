"""Compiles the C shim of vzinit, `shim.c`.

`images.runtime` links it into the program of PID 1; `python -m vzinit._sys_build` puts it beside this file, for tests
that import vzinit.  By hand, not by cffi: cffi's backend costs 100 KiB of every PID 1 that has loaded the shim.
"""

import os
import subprocess
import sysconfig

FLAGS = ("-shared", "-fPIC", "-Os", "-g0", "-fvisibility=hidden", "-Wall", "-Wl,-s")
NAME = "_sys.abi3.so"
HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = f"{HERE}/shim.c"


def compile_into(directory: str) -> str:
    """Write `_sys.abi3.so` into *directory*.

    Raises OSError or CalledProcessError when there is no working compiler.
    """
    target = f"{directory}/{NAME}"
    compiler = os.environ.get("CC", "cc").split()
    include = f"-I{sysconfig.get_path('include')}"
    subprocess.run([*compiler, *FLAGS, include, SOURCE, "-o", f"{target}.new"], check=True)
    os.replace(f"{target}.new", target)
    return target


if __name__ == "__main__":
    compile_into(HERE)
