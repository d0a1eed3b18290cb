"""Compile the shim: `python -m hostd.kernel._build` leaves `_shim.*.so` beside this file.

cffi in API mode, out of line: the compiler checks the declarations, and importing the result costs 0.4 ms.
The module fits the interpreter that ran this.  Compiled by hand: `ffi.compile` would want setuptools, which
a virtual environment has no longer since Python 3.12.
"""

import os
import subprocess
import sysconfig
import tempfile
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
SOURCES = ("kernel.c", "bpf.c", "btf.c", "clone.c", "child.c", "spawn.c", "holder.c")
NAME = f"_shim{sysconfig.get_config_var('EXT_SUFFIX')}"

# The children of child.c and holder.c may call nothing outside of themselves: the compiler must not make memset() out
# of a loop, nor check stacks; "now" resolves every symbol at load: not even an accident takes the loader's locks.
COMPILE = [
    "-O2",
    "-Wall",
    "-Wextra",
    "-Wno-missing-field-initializers",
    "-Werror=implicit-function-declaration",
    "-fno-stack-protector",
    "-fno-tree-loop-distribute-patterns",
]
LINK = ["-shared", "-Wl,-z,now"]

ffi = FFI()
ffi.cdef((HERE / "shim.h").read_text())
ffi.set_source("hostd.kernel._shim", '#include "shim.h"')


def build() -> Path:
    """Compile, put the module in place by rename, return its path.

    Raises OSError or CalledProcessError when there is no working compiler.
    """
    target = HERE / NAME
    partial = HERE / f".{NAME}.{os.getpid()}"
    compiler = os.environ.get("CC", "cc").split()
    include = [f"-I{HERE}", f"-I{sysconfig.get_path('include')}"]
    with tempfile.TemporaryDirectory() as scratch:
        glue = f"{scratch}/_shim.c"
        ffi.emit_c_code(glue)
        sources = [glue, *(str(HERE / name) for name in SOURCES)]
        subprocess.run([*compiler, *COMPILE, "-fPIC", *include, *sources, *LINK, "-o", str(partial)], check=True)
    partial.rename(target)
    return target


if __name__ == "__main__":
    print(build())
