"""What stops a build; `python -m images` prints it as one line and exits 1."""


class BuildError(Exception):
    """The message says what is missing or what failed."""
