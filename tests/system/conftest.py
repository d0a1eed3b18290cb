"""Fixtures of the system tests that need no container."""

from tests.harness.small import small

__all__ = ["small"]
