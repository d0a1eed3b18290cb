"""CRIU's log -> the one line that tells why it failed."""

import re

_ERROR = re.compile(r"Error \((?P<where>[^)]*)\): (?P<text>.*)")
# Said on success as well, or only repeating that something before went wrong.
_NOISE = re.compile(
    r"FAILED\.?$|failed with -?\d+$|-V failed$|RLIMIT|cgroupd|^execvp\(\"ip|Tasks? will be|parasite already"
    r"|Unable to open fd=|Can't sent fd|^\d+ exited, status="
    r"|oom_score_adj failed"
)
# What CRIU says of images that are not what it has written.
_DAMAGED = re.compile(
    r"Unexpected EOF|[Mm]agic doesn't match|Unknown image format|[Cc]orrupted|Failed unpacking"
    r"|image file was truncated|image size mismatch|bytes while \d+ expected"
)


def reason(log: str) -> str:
    """The error that stopped CRIU: the last one that is not noise, without its source position; "" if none.
    """
    texts = [" ".join(match["text"].split()) for match in _ERROR.finditer(log)]
    telling = [text for text in texts if text and not _NOISE.search(text)]
    return (telling or texts or [""])[-1]


def damaged(log: str) -> bool:
    """The images are to blame; of anything else that fails, nobody knows that it will again."""
    return any(_DAMAGED.search(match["text"]) for match in _ERROR.finditer(log))


def read(path: str) -> str:
    """The log at *path*; "" when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def tail(path: str, lines: int = 8) -> str:
    """The last errors in the log at *path*, on one line, for our own log."""
    errors = [line for line in read(path).splitlines() if "Error" in line]
    return " | ".join(errors[-lines:])
