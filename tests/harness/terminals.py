"""What tests with a terminal (pexpect) share."""

import pexpect


def exit_status(child: "pexpect.spawn[str] | pexpect.spawn[bytes]") -> int | None:
    """The exit code of the command on the terminal, which must come to its end by itself."""
    child.expect(pexpect.EOF)
    child.close()
    status: int | None = child.exitstatus
    return status
