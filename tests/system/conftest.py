"""What is common to the system tests: what a kernel must have for them, and fixtures that need no container."""

import os

import pytest

from tests.harness.needs import CONTAINERS
from tests.harness.small import small

__all__ = ["small"]

HERE = os.path.dirname(__file__)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An installation is there to run containers; what needs more says so itself."""
    for item in items:
        if item.path.is_relative_to(HERE) and "vz" in getattr(item, "fixturenames", ()):
            item.add_marker(CONTAINERS)
