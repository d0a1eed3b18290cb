"""`vzlist`: everything it knows is in the daemon."""

from hostd.cli.client import main as _main


def main() -> None:
    _main("vzlist")
