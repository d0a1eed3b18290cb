"""The programs in `build/bin` and /usr/sbin that are texts: a shebang, and a line that names the source tree.

`-I -S -E`: no site, no user directory, no environment; it saves milliseconds and makes the commands immune to
PYTHON* variables.  `-I` also removes the script's directory from `sys.path`, hence the explicit path.
"""

_HOSTD = """#!{python} -ISE
import sys; sys.path.insert(0, {root!r}); from hostd.keeper.main import main
main([*sys.argv[1:], "--", *{daemon!r}])
"""

_BESIDE = """#!{python} -IS
import os, sys; sys.path[:0] = [{root!r}, {site!r}]; from hostd.watch.{module} import main
sys.exit(main(os.path.dirname(os.path.abspath(__file__)), sys.argv[1:]))
"""


def hostd(root: str, daemon: list[str], python: str = "/usr/bin/python3") -> str:
    """The program `hostd` (the keeper), which starts the command line *daemon*; it lies beside `vzctl`."""
    return _HOSTD.format(python=python, root=root, daemon=daemon)


def beside(module: str, root: str, site: str, python: str = "/usr/bin/python3") -> str:
    """A program that uses `vzctl` and `vzlist` beside it: `hostd.watch.MODULE`, with libraries in *site*."""
    return _BESIDE.format(python=python, module=module, root=root, site=site)
