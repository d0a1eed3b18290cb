"""What a command prints: progress to stdout, errors to stderr, both to the log.  `--quiet` prints nothing."""

from hostd.command.host import Session
from hostd.log import log


class Console:
    def __init__(self, session: Session, *, quiet: bool = False, verbose: int = 0) -> None:
        self._session = session
        self.quiet = quiet
        self.verbose = verbose

    def say(self, line: str) -> None:
        """One line of progress: OpenVZ's level 0, warnings included."""
        log.info("%s", line)
        self.show(line + "\n")

    def detail(self, line: str) -> bool:
        """One line for `--verbose`, on stderr: stdout says the same as without.  False: nobody asked for it."""
        if self.verbose:
            self.note(line)
        return bool(self.verbose)

    def show(self, text: str) -> None:
        """The answer itself: printed as is, not logged."""
        if not self.quiet:
            self._session.out(text)

    def note(self, line: str) -> None:
        """One line beside the answer, on stderr."""
        if not self.quiet:
            self._session.err(line + "\n")

    def error(self, line: str) -> None:
        log.error("%s", line)
        if not self.quiet:
            self._session.err(line + "\n")
