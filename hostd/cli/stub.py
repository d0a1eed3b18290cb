"""The text of the programs in `build/bin` and /usr/sbin: a shebang and a line that names the source tree.

`-I -S -E`: no site, no user directory, no environment; it saves milliseconds and makes the commands immune to
PYTHON* variables.  `-I` also removes the script's directory from `sys.path`, hence the explicit path.
"""

_COMMAND = """#!{python} -ISE
import sys; sys.path.insert(0, {root!r}); from hostd.cli.{prog} import main; main()
"""

_HOSTD = """#!{python} -ISE
import sys; sys.path.insert(0, {root!r}); from hostd.keeper.main import main
main([*sys.argv[1:], "--", *{daemon!r}])
"""


def command(prog: str, root: str, python: str = "/usr/bin/python3") -> str:
    """The program *prog* ("vzctl" or "vzlist") of the packages below directory *root*."""
    return _COMMAND.format(python=python, root=root, prog=prog)


def hostd(root: str, daemon: list[str], python: str = "/usr/bin/python3") -> str:
    """The program `hostd` (the keeper), which starts the command line *daemon*; it lies beside `vzctl`."""
    return _HOSTD.format(python=python, root=root, daemon=daemon)
