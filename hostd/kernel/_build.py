"""Compile the shim: `python -m hostd.kernel._build` leaves `_shim.*.so` beside this file.

cffi in API mode, out of line: the compiler checks the declarations, and importing the result costs 0.4 ms.
The module fits the interpreter that ran this.
"""

import os
import shutil
import tempfile
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
SOURCES = ("kernel.c", "clone.c", "spawn.c", "holder.c")

# The child of spawn.c may call nothing outside of itself: the compiler must not make memset() out of a loop,
# nor check stacks; "now" resolves every symbol at load, so that not even an accident takes the loader's
# locks.
COMPILE = [
    "-O2",
    "-Wall",
    "-Wextra",
    "-Wno-missing-field-initializers",
    "-fno-stack-protector",
    "-fno-tree-loop-distribute-patterns",
]
LINK = ["-Wl,-z,now"]

ffi = FFI()
ffi.cdef((HERE / "shim.h").read_text())
ffi.set_source(
    "hostd.kernel._shim",
    '#include "shim.h"',
    sources=[str(HERE / name) for name in SOURCES],
    depends=[str(path) for path in HERE.glob("*.h")],
    include_dirs=[str(HERE)],
    extra_compile_args=COMPILE,
    extra_link_args=LINK,
)


def build() -> Path:
    """Compile in a scratch directory and put the module in place by rename; return its path."""
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(ffi.compile(tmpdir=scratch))
        partial = HERE / f".{made.name}.{os.getpid()}"
        shutil.copyfile(made, partial)
        target = HERE / made.name
        partial.rename(target)
    return target


if __name__ == "__main__":
    print(build())
