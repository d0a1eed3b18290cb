"""The C shim of vzinit: the few system calls that no C module of the interpreter offers (cffi, API mode).

`images.runtime` puts it into the runtime; `python -m vzinit._sys_build` beside this file, for tests that
import vzinit. Compiled by hand: `ffi.compile` would want setuptools, which the interpreter has no longer
since 3.12.
"""

import os
import subprocess
import sysconfig

import cffi

FLAGS = ("-shared", "-fPIC", "-Os", "-g0", "-fvisibility=hidden", "-Wl,-s")
NAME = "_sys.abi3.so"

CDEF = """
int vz_reboot(unsigned int command);
int vz_syncfs(int fd);
"""

SOURCE = """
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>
#include <sys/syscall.h>
#include <linux/reboot.h>

/* Both answer 0 or -errno: errno itself is not kept by the caller. */

static int vz_reboot(unsigned int command)
{
    return syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, command, 0) ? -errno : 0;
}

static int vz_syncfs(int fd)
{
    return syncfs(fd) ? -errno : 0;
}
"""


def builder() -> cffi.FFI:
    """The description of the extension, ready for `emit_c_code` or `compile`."""
    ffi = cffi.FFI()
    ffi.cdef(CDEF)
    ffi.set_source("vzinit._sys", SOURCE)
    return ffi


def compile_into(directory: str) -> str:
    """Write `_sys.abi3.so` into *directory*.

    Raises OSError or CalledProcessError when there is no working compiler.
    """
    source, target = f"{directory}/_sys.c", f"{directory}/{NAME}"
    builder().emit_c_code(source)
    try:
        compiler = os.environ.get("CC", "cc").split()
        include = f"-I{sysconfig.get_path('include')}"
        subprocess.run([*compiler, *FLAGS, include, source, "-o", f"{target}.new"], check=True)
        os.replace(f"{target}.new", target)
    finally:
        os.unlink(source)
    return target


if __name__ == "__main__":
    compile_into(os.path.dirname(os.path.abspath(__file__)))
