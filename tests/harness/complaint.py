"""How a command complains: one line on stderr."""

from tests.harness.installation import Result


def one_line(result: Result, *words: str) -> None:
    """The complaint is one line on stderr, and says *words*."""
    lines = result.stderr.splitlines()
    assert lines, f"nothing on stderr; stdout: {result.stdout!r}"
    assert any(all(word in line for word in words) for line in lines), (words, result.stderr)
    assert "Traceback" not in result.stderr + result.stdout
