"""Finished prompts on disk."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.adapters.cache_folder import LEFTOVER_S, CacheLimits, list_entries, sweep
from voiceblocks.adapters.render.cache import TOUCH_AFTER_S, ClipCache, hash_file, key_of, touch
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


def test_finding_is_using(tmp_path: Path) -> None:
    """An entry that is found counts as used now, and is touched no more often than needed."""
    cache = ClipCache(tmp_path)
    clip = cache.store(key_of("x"), SAMPLES)
    now_s = time.time()
    for age_s, is_touched in ((TOUCH_AFTER_S + 60, True), (TOUCH_AFTER_S / 2, False)):
        os.utime(clip.ulaw_path, (now_s - age_s, now_s - age_s))
        assert cache.find(key_of("x")) == clip
        assert (time.time() - clip.ulaw_path.stat().st_mtime < 5) == is_touched


def test_held_clips(tmp_path: Path) -> None:
    """As long as somebody has a clip it is one that may be played, and can be touched."""
    cache = ClipCache(tmp_path)
    clip = cache.store(key_of("x"), SAMPLES)
    cache.store(key_of("y"), SAMPLES)
    assert cache.find(key_of("x")) is clip
    assert cache.held() == [clip]
    os.utime(clip.ulaw_path, (1, 1))
    touch(cache.held())
    assert time.time() - clip.ulaw_path.stat().st_mtime < 5
    cache.remove(key_of("x"))
    touch(cache.held())
    del clip
    assert cache.held() == []


_WRITER = """
import sys
from pathlib import Path
import numpy as np
from voiceblocks.adapters.render.cache import ClipCache, key_of
cache = ClipCache(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    for n in range(20):
        cache.store(key_of(str(n)), np.full(40_000 + n, 1000, np.int16))
"""


def test_two_processes_that_are_killed_while_they_write(tmp_path: Path) -> None:
    """At whatever instant kill -9 comes, what is found afterwards is whole."""
    cache = ClipCache(tmp_path)
    for _round in range(2):
        writers = [
            subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE)
            for _ in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
        found_at_least = 0
        while found_at_least < 20:
            found_at_least = sum(cache.find(key_of(str(n))) is not None for n in range(20))
        for writer in writers:
            writer.kill()
            writer.communicate()
        for n in range(20):
            clip = cache.find(key_of(str(n)))
            assert clip is not None
            expected = np.full(40_000 + n, 1000, np.int16)
            assert clip.ulaw_path.read_bytes() == g711.ulaw_encode(expected).tobytes()
            assert clip.alaw_path.read_bytes() == g711.alaw_encode(expected).tobytes()
    later_s = time.time() + LEFTOVER_S + 60
    sweep(tmp_path, CacheLimits(max_age_s=None), later_s)
    assert not [entry for entry in list_entries(tmp_path) if entry.is_leftover]
    assert len(list_entries(tmp_path)) == 20


def test_hash_of_a_file(tmp_path: Path) -> None:
    """Content counts, names do not."""
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "b").write_bytes(b"x" * 3_000_000)
    (tmp_path / "c").write_bytes(b"x" * 3_000_001)
    assert hash_file(tmp_path / "a") == hash_file(tmp_path / "b") != hash_file(tmp_path / "c")
