"""Putting files onto a machine where an older version of them is in use."""

from pathlib import Path

from images import deploy


def test_a_library_in_use_is_replaced_and_not_changed(tmp_path: Path) -> None:
    """A daemon that has it mapped would die of a change."""
    source, target = tmp_path / "new.so", tmp_path / "lib" / "in_use.so"
    source.write_text("new")
    deploy.copy(str(source), str(target))
    assert target.read_text() == "new"
    source.write_text("newer")
    with target.open() as mapped:
        deploy.copy(str(source), str(target))
        assert (mapped.read(), target.read_text()) == ("new", "newer")
    assert [path.name for path in target.parent.iterdir()] == ["in_use.so"]
