"""The arena of rings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voiceblocks.engine.media.ring import RING_SLOTS, Arena, RowState, arena_bytes
from voiceblocks.errors import StartupError


def test_two_processes_would_see_the_same_rows(tmp_path: Path):
    """What one mapping writes, another one reads; a reset row is clean and silent."""
    one = Arena.create(tmp_path / "a", 3)
    assert (tmp_path / "a").stat().st_size == arena_bytes(3)
    one.reset(1, "rec-1", "PCMA")
    two = Arena.open(tmp_path / "a")
    assert two.n_rows == 3
    assert (two.name_of(1), two.law_of(1)) == ("rec-1", "PCMA")
    assert set(two.audio[1]) == {0xD5}
    one.slots[1, 0] = 7
    one.presence[1, 0] = 1
    records = two.records(1, 0, 2)
    assert records[:, 0].tolist() == [1, 0]
    assert set(records[0, 1:]) == {7}
    two.release(1)
    assert one.headers[1]["state"] == RowState.FREE


def test_slots_that_the_ring_lost_or_never_had_are_absent(tmp_path: Path):
    """A keeper that was away for long gets silence for what was overwritten."""
    arena = Arena.create(tmp_path / "a", 1)
    arena.reset(0, "x", "PCMU")
    arena.presence[0] = 1
    arena.slots[0] = np.arange(RING_SLOTS)[:, None] % 251
    arena.headers[0]["clean_slots"] = RING_SLOTS + 100
    records = arena.records(0, 50, RING_SLOTS + 150)
    present = records[:, 0]
    assert set(present[:50]) == {0}
    assert set(present[50 : RING_SLOTS + 50]) == {1}
    assert set(present[RING_SLOTS + 50 :]) == {0}
    assert records[60, 1] == (50 + 60) % 251
    assert len(arena.records(0, 5, 3)) == 0


@pytest.mark.parametrize("content", [None, b"", b"x" * 5000])
def test_what_is_no_arena_is_refused(tmp_path: Path, content: bytes | None):
    """A sentence instead of a crash."""
    if content is not None:
        (tmp_path / "a").write_bytes(content)
    with pytest.raises(StartupError):
        Arena.open(tmp_path / "a")


def test_no_room_is_told_before_any_call(tmp_path: Path):
    """The memory is reserved; the operator is told what to do."""
    with pytest.raises(StartupError, match="shm-size"):
        Arena.create(tmp_path / "a", 1 << 31)
    assert not (tmp_path / "a").exists()
