"""What the interpreter itself imports at its start, as far as an embedded program needs it.

Each file stands for the module of the standard library that it is named after (`importlib` for its first part,
`_frozen_importlib`): no import from files, one encoding, streams without buffers.
"""
