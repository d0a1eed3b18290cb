"""The tree that becomes a container's root."""

import asyncio
import os
import threading

import pytest

from hostd.container import mounts, storage
from hostd.container.record import Record
from hostd.kernel.fd import Fd


def test_a_mount_is_copied_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest with many mounts can have the kernel let it wait."""
    threads = []

    def root(_path: str) -> Fd:
        threads.append(threading.get_ident())
        return Fd.open("/", os.O_PATH)

    monkeypatch.setattr(mounts, "root", root)
    asyncio.run(storage.container_root(Record(ctid=101, layout="overlay"))).close()
    assert len(threads) == 1 and threads[0] != threading.get_ident()
