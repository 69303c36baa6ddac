"""Finished prompts on disk."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.adapters.render.cache import ClipCache, hash_file, key_of
from voiceblocks.audio import g711

SAMPLES = np.arange(-8000, 8000, 5, dtype=np.int16)


@given(st.lists(st.text()), st.lists(st.text()))
def test_keys_differ_when_parts_do(one: list[str], other: list[str]) -> None:
    """A key depends on every part and on where one ends and the next begins."""
    assert (key_of(*one) == key_of(*other)) == (one == other)


def test_keys_take_any_text() -> None:
    """A lone surrogate, which UTF-8 does not have, is no error."""
    assert key_of("\ud800") != key_of("?")


def test_entry(tmp_path: Path) -> None:
    """An entry is both laws of the same samples, found by its key alone."""
    cache = ClipCache(tmp_path / "cache")
    key = key_of("x")
    assert cache.find(key) is None
    clip = cache.store(key, SAMPLES)
    assert ClipCache(tmp_path / "cache").find(key) == clip
    assert clip.n_samples == len(SAMPLES)
    assert clip.path_for("PCMU").read_bytes() == g711.ulaw_encode(SAMPLES).tobytes()
    assert clip.path_for("PCMA").read_bytes() == g711.alaw_encode(SAMPLES).tobytes()


@pytest.mark.parametrize("damage", ["ulaw empty", "alaw empty", "alaw short", "alaw gone"])
def test_what_a_power_cut_leaves(tmp_path: Path, damage: str) -> None:
    """An empty, unequal or half missing pair is no entry, and can be written anew."""
    cache = ClipCache(tmp_path)
    key = key_of("x")
    clip = cache.store(key, SAMPLES)
    law, what = damage.split()
    path = clip.ulaw_path if law == "ulaw" else clip.alaw_path
    if what == "gone":
        path.unlink()
    else:
        os.truncate(path, 0 if what == "empty" else 100)
    assert cache.find(key) is None
    assert cache.store(key, SAMPLES) == clip
    assert cache.find(key) == clip


def test_writers_at_the_same_time(tmp_path: Path) -> None:
    """Any number of writers of one key, and readers meanwhile, see whole entries only."""
    key = key_of("x")
    seen: set[int] = set()
    done = threading.Event()

    def write() -> None:
        cache = ClipCache(tmp_path)
        for _ in range(30):
            cache.store(key, SAMPLES)

    def read() -> None:
        cache = ClipCache(tmp_path)
        while not done.is_set():
            clip = cache.find(key)
            if clip is not None:
                seen.add(len(clip.ulaw_path.read_bytes()))
                seen.add(len(clip.alaw_path.read_bytes()))

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write) for _ in range(4)]
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    done.set()
    reader.join()
    assert seen <= {len(SAMPLES)}
    assert sorted(path.suffix for path in tmp_path.rglob("*") if path.is_file()) == [
        ".alaw",
        ".ulaw",
    ]


def test_disk_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed write is an OSError and leaves neither an entry nor a temporary file."""

    def refuse(_old: Path, _new: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        ClipCache(tmp_path).store(key_of("x"), SAMPLES)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_remove(tmp_path: Path) -> None:
    """A removed entry is gone in both laws; removing what is not there is fine."""
    cache = ClipCache(tmp_path)
    cache.store(key_of("x"), SAMPLES)
    cache.remove(key_of("x"))
    cache.remove(key_of("y"))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_prune(tmp_path: Path) -> None:
    """What was unused longest goes first, what was just used never, and no more than needed."""
    cache = ClipCache(tmp_path)
    now_s, day_s = 2_000_000_000.0, 86_400.0
    for age_days in range(10):
        clip = cache.store(key_of(str(age_days)), SAMPLES)
        for path in (clip.ulaw_path, clip.alaw_path):
            os.utime(path, (now_s - age_days * day_s, now_s - 100 * day_s))
    stray = clip.ulaw_path.parent / ".new-old"
    stray.write_bytes(b"x")
    os.utime(stray, (now_s - 3 * day_s, now_s - 3 * day_s))

    def left() -> list[int]:
        return [age for age in range(10) if cache.find(key_of(str(age))) is not None]

    entry_bytes = 2 * len(SAMPLES)
    cache.prune(10 * entry_bytes, now_s)
    assert left() == list(range(10))
    assert not stray.exists()
    cache.prune(7 * entry_bytes, now_s)
    assert left() == list(range(7))
    cache.prune(0, now_s)
    assert left() == [0, 1, 2]


def test_hash_of_a_file(tmp_path: Path) -> None:
    """Content counts, names do not."""
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "b").write_bytes(b"x" * 3_000_000)
    (tmp_path / "c").write_bytes(b"x" * 3_000_001)
    assert hash_file(tmp_path / "a") == hash_file(tmp_path / "b") != hash_file(tmp_path / "c")
