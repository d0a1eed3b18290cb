"""Records: identity only, of this boot only, and whole or not at all."""

import json
import os
from pathlib import Path

from hostd.config.paths import Paths
from hostd.container import record
from hostd.container.record import Record
from hostd.kernel.boot import boot_id


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    paths = Paths(str(tmp_path))
    saved = Record(ctid=101, intent="start", pid=7, identity="pidfs:9", uid_base=65536, storage={"loop": "3"})
    saved.save(paths)
    assert record.load(paths, 101) == saved
    assert record.recorded(paths) == [101]


def test_a_record_of_another_boot_describes_nothing(tmp_path: Path) -> None:
    paths = Paths(str(tmp_path))
    Record(ctid=101, boot="another").save(paths)
    assert record.load(paths, 101) is None
    assert record.recorded(paths) == [101]


def test_garbage_and_unknown_keys_do_not_stop_a_daemon(tmp_path: Path) -> None:
    paths = Paths(str(tmp_path))
    os.makedirs(os.path.dirname(paths.ct_record(5)))
    Path(paths.ct_record(5)).write_text("{")
    Path(paths.ct_record(6)).write_text(json.dumps({"ctid": 6, "boot": boot_id(), "of_the_future": 1}))
    assert record.load(paths, 5) is None
    loaded = record.load(paths, 6)
    assert loaded is not None and loaded.ctid == 6


def test_two_starts_have_two_names() -> None:
    assert Record(ctid=1).child_name != Record(ctid=1).child_name


def test_remove_is_idempotent(tmp_path: Path) -> None:
    paths = Paths(str(tmp_path))
    Record(ctid=1).save(paths)
    Record(ctid=1).remove(paths)
    Record(ctid=1).remove(paths)
    assert record.recorded(paths) == []
