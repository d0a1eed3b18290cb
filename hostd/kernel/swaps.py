"""What the machine swaps to: partitions, files, zram."""


def present(table: str = "/proc/swaps") -> bool:
    """Is there any at all?  A kernel without swapping has no such table."""
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as file:
            return len(file.readlines()) > 1  # the first line is the heading
    except FileNotFoundError:
        return False
