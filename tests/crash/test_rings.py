"""The newest seconds of a recording lie in a ring: the next process finds them, wherever it is."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from voiceblocks.engine.media.ring import Arena, RowState
from voiceblocks.engine.media.salvage import salvage
from voiceblocks.errors import StartupError, StoreError
from voiceblocks.recordings.spool import SLOT_SAMPLES, SpoolWriter, open_spool
from voiceblocks.server import folders
from voiceblocks.server.folders import make_folders
from voiceblocks.settings import Settings

MIB = 1 << 20


@pytest.fixture
def shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for `/dev/shm`."""
    path = tmp_path / "shm"
    path.mkdir()
    monkeypatch.setattr(folders, "SHARED_MEMORY", path)
    return path


def free(monkeypatch: pytest.MonkeyPatch, size_bytes: int) -> None:
    """So much room is in the shared memory."""
    status = SimpleNamespace(f_bavail=size_bytes // 4096, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda _path: status)


def leave_ring(ring_dir: Path, name: str = "left") -> None:
    """What a killed worker leaves that had placed three slots."""
    arena = Arena.create(ring_dir / "taps.arena", 400)
    arena.reset(7, name, "PCMU")
    arena.audio[7, : 3 * SLOT_SAMPLES] = 0x21
    arena.presence[7, :3] = 1
    arena.headers[7]["placed"] = 3 * SLOT_SAMPLES
    arena.headers[7]["state"] = RowState.ACTIVE
    arena.close()


def test_a_container_with_little_shared_memory_finds_its_rings_again(
    tmp_path: Path, shared_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dead arena fills the 64 MB of a container; that is no reason to look elsewhere."""
    settings = Settings(data_dir=tmp_path / "data", media_workers=1, calls_per_worker=400)
    free(monkeypatch, 64 * MIB)
    first = make_folders(settings)
    assert first.rings.parent == shared_memory
    leave_ring(first.rings)
    free(monkeypatch, 64 * MIB - (first.rings / "taps.arena").stat().st_size)
    second = make_folders(settings)
    assert second.rings == first.rings


def test_rings_are_found_where_an_earlier_process_had_them(
    tmp_path: Path, shared_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room came or went between two starts: both places are looked at."""
    settings = Settings(data_dir=tmp_path / "data", media_workers=1, calls_per_worker=400)
    free(monkeypatch, 64 * MIB)
    in_memory = make_folders(settings).rings
    free(monkeypatch, MIB)
    on_disk = make_folders(settings)
    assert on_disk.rings.parent == tmp_path / "data"
    assert on_disk.earlier_rings == (in_memory,)
    free(monkeypatch, 64 * MIB)
    assert make_folders(settings).earlier_rings == (on_disk.rings,)


def test_a_salvaged_arena_is_gone(tmp_path: Path) -> None:
    """Its memory is free for the next one, and what it held is in the spool."""
    leave_ring(tmp_path)
    assert salvage(tmp_path, tmp_path) == {"left": 3 * SLOT_SAMPLES}
    assert not list(tmp_path.glob("*.arena"))
    with open_spool(tmp_path / "left.spool") as spool:
        assert np.all(spool.payload(0, 3) == 0x21)


def test_a_full_disk_costs_no_audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no start until there is room; the ring waits for it."""

    def full(_spool: SpoolWriter, _records: object) -> None:
        raise StoreError("full") from OSError(errno.ENOSPC, "No space left on device")

    leave_ring(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(SpoolWriter, "append", full)
        with pytest.raises(StartupError, match="No space left on device"):
            salvage(tmp_path, tmp_path)
    assert salvage(tmp_path, tmp_path) == {"left": 3 * SLOT_SAMPLES}


def test_one_damaged_spool_does_not_hold_up_the_others(tmp_path: Path) -> None:
    """What the ring of a damaged one holds is put aside for the operator."""
    leave_ring(tmp_path)
    arena = Arena.open(tmp_path / "taps.arena")
    arena.reset(8, "other", "PCMU")
    arena.headers[8]["placed"] = SLOT_SAMPLES
    arena.headers[8]["state"] = RowState.ACTIVE
    arena.close()
    (tmp_path / "left.spool").write_bytes(b"no spool at all, but long enough for a header" * 3)
    assert salvage(tmp_path, tmp_path) == {"other": SLOT_SAMPLES}
    assert len(list(tmp_path.glob("damaged-*"))) == 1
    assert salvage(tmp_path, tmp_path) == {"other": SLOT_SAMPLES}
