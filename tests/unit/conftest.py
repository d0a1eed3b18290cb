"""Fixtures of the unit tests."""

import os

import pytest

from tests.harness.fake_host import Fake


@pytest.fixture
def fake(tmp_path: os.PathLike[str]) -> Fake:
    """The commands before a host played by the test."""
    return Fake(str(tmp_path))
