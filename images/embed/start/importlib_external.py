"""No importer of files: every module is in the program."""


def _install(_bootstrap: object) -> None:
    """What the import system calls when it could add some."""
