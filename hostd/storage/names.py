"""Names that more than one module of the storage uses."""

GOLDEN = "golden"  # directory of formatted, empty images, beside `tree` in the template directory
MAKING = ".mkfs-"  # before the name of a directory in GOLDEN in which one is being made
