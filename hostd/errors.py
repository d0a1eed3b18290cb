"""Everything that can go wrong, and the exit code each thing has.

    VzError                       exit code 3 (system error) unless said otherwise
     +-- Usage                    20  the command line does not parse
     +-- BadValue                 21  a value is not valid for its parameter
     +-- NoGlobalConfig           10  vz.conf cannot be read
     +-- NoConfig                 14  the container has no configuration file
     +-- BadConfig                85  a configuration file is none, or holds a value that cannot be used
     +-- Locked                    9  another action holds the container
     +-- NotRunning               31
     +-- AlreadyRunning           32
     +-- BadCheckpoint            17  what was saved is damaged: it can never be brought back
     +-- Failure(code, text)          any other documented code

Code below the edge raises; nothing below the edge prints or exits.  Context is added on the way up with
`doing("mount /proc of CT 101")`; the edge (`hostd.command.edge`) prints one line and answers `exit_code`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of vzctl, as OpenVZ's `vzerror.h` numbers them."""

    OK = 0
    SETUBC = 1
    SYSTEM = 3
    BAD_KERNEL = 5
    RESOURCE = 6
    ENVCREATE = 7
    COMMAND_EXECUTION = 8
    LOCKED = 9
    NOCONFIG = 10
    NOSCRIPT = 11
    NO_ACCESS = 12
    SET_CAP = 13
    NOVECONFIG = 14
    EXEC_TIMEOUT = 15
    CHKPNT = 16
    RESTORE = 17
    INVALID_PARAMETER_SYNTAX = 20
    INVALID_PARAMETER_VALUE = 21
    VE_ROOT_NOTSET = 22
    VE_PRIVATE_NOTSET = 23
    VE_TMPL_NOTSET = 24
    NOTENOUGHUBCPARAMS = 28
    VE_OSTEMPLATE_NOTSET = 29
    VE_NOT_RUNNING = 31
    VE_RUNNING = 32
    STOP_ERROR = 33
    CANT_ADDIP = 34
    FS_NOT_MOUNTED = 40
    FS_MOUNTED = 41
    FS_NOPRVT = 43
    FS_PRVT_AREA_EXIST = 44
    FS_NO_DISK_SPACE = 46
    FS_BAD_TMPL = 47
    FS_NEW_VE_PRVT = 48
    FS_MPOINTCREATE = 49
    FS_CANTMOUNT = 50
    FS_CANTUMOUNT = 51
    FS_DEL_PRVT = 52
    UNK_MOUNT_TYPE = 53
    CANT_CREATE_DIR = 54
    DISKSPACE_NOT_SET = 63
    BADHOSTNAME = 70
    BADIP = 71
    BADDNSSRV = 72
    BADDNSSEARCH = 73
    CHANGEPASS = 74
    VE_LCKDIR_NOTSET = 77
    IP_INUSE = 78
    ACTIONSCRIPT = 79
    CP_CONFIG = 82
    INVALID_CONFIG = 85
    SET_DEVICES = 86
    OSTEMPLATE_NOT_FOUND = 91
    VE_START_DISABLED = 105
    APPLY_CONFIG = 109
    SET_NAME = 131
    WAIT_FAILED = 133
    CONFIG_SAVE = 139
    SET_IO = 148


class VzError(Exception):
    """A failure with a message for the user.  `hint` says what would be right, when that is known."""

    exit_code: int = Exit.SYSTEM

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Failure(VzError):
    """A failure with an explicit exit code."""

    def __init__(self, exit_code: int, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class Usage(VzError):
    exit_code = Exit.INVALID_PARAMETER_SYNTAX


class BadValue(VzError):
    exit_code = Exit.INVALID_PARAMETER_VALUE


class NoGlobalConfig(VzError):
    exit_code = Exit.NOCONFIG


class NoConfig(VzError):
    exit_code = Exit.NOVECONFIG


class BadConfig(VzError):
    exit_code = Exit.INVALID_CONFIG


class Locked(VzError):
    exit_code = Exit.LOCKED


class NotRunning(VzError):
    exit_code = Exit.VE_NOT_RUNNING


class AlreadyRunning(VzError):
    exit_code = Exit.VE_RUNNING


class BadCheckpoint(VzError):
    exit_code = Exit.RESTORE


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Add *what* was being done as a note to any exception that passes; the edge shows the innermost note."""
    try:
        yield
    except Exception as error:
        error.add_note(what)
        raise
