"""The compiled module; `facade` gives it types."""

from typing import Any

ffi: Any
lib: Any
