"""The text of the program `hostd` in `build/bin` and /usr/sbin: a shebang and a line that names the source tree.

`-I -S -E`: no site, no user directory, no environment; it saves milliseconds and makes the commands immune to
PYTHON* variables.  `-I` also removes the script's directory from `sys.path`, hence the explicit path.
"""

_HOSTD = """#!{python} -ISE
import sys; sys.path.insert(0, {root!r}); from hostd.keeper.main import main
main([*sys.argv[1:], "--", *{daemon!r}])
"""


def hostd(root: str, daemon: list[str], python: str = "/usr/bin/python3") -> str:
    """The program `hostd` (the keeper), which starts the command line *daemon*; it lies beside `vzctl`."""
    return _HOSTD.format(python=python, root=root, daemon=daemon)
