"""/.vz/bin/vzinit python CODE: Python with the modules of PID 1, for tests and for a look around.

A program of its own (the first argument asks for it), not a part of PID 1.
"""

import sys

if __name__ == "vzinit.python":
    exec(sys.argv[2], {"__name__": "vzinit.python"})
