"""What of a cache goes, and what never does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.adapters.cache_folder import (
    LEFTOVER_S,
    SPARED_S,
    CacheEntry,
    CacheLimits,
    choose,
    delete,
    list_entries,
    sweep,
)

NOW_S = 2_000_000_000.0
DAY_S = 86_400.0


def entry(age_s: float, size_bytes: int = 100, name: str = "x.ulaw") -> CacheEntry:
    """One that was used so long ago."""
    return CacheEntry((Path(name),), size_bytes, NOW_S - age_s)


def write(path: Path, age_s: float, size_bytes: int = 100) -> Path:
    """A file that was used so long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size_bytes))
    os.utime(path, (NOW_S - age_s, NOW_S - age_s))
    return path


@pytest.mark.parametrize(
    ("age_s", "limits", "goes"),
    [
        (29 * DAY_S, CacheLimits(1000, 30 * DAY_S), False),
        (31 * DAY_S, CacheLimits(1000, 30 * DAY_S), True),
        (3100 * DAY_S, CacheLimits(1000, None), False),
        (SPARED_S + 1, CacheLimits(99, None), True),
        (SPARED_S - 1, CacheLimits(99, None), False),
        (SPARED_S - 1, CacheLimits(1000, 0.0), False),
        (SPARED_S + 1, CacheLimits(1000, 0.0), True),
        # A clock that was set back.
        (-DAY_S, CacheLimits(0, 0.0), False),
    ],
)
def test_one_entry(age_s: float, limits: CacheLimits, goes: bool) -> None:
    """Too old or too much goes, but nothing that was used just now."""
    assert bool(choose([entry(age_s)], limits, NOW_S)) == goes


@pytest.mark.parametrize(
    ("age_s", "goes"), [(0.0, False), (LEFTOVER_S - 1, False), (LEFTOVER_S + 1, True)]
)
@pytest.mark.parametrize("name", [".new-abc", "part-abc"])
def test_leftovers(name: str, age_s: float, goes: bool) -> None:
    """A file in the making goes only when nobody can be making it any more, whatever the limits."""
    for limits in (CacheLimits(0, 0.0), CacheLimits(1000, None)):
        assert bool(choose([entry(age_s, name=name)], limits, NOW_S)) == goes


@given(
    st.lists(st.tuples(st.floats(0, 100 * DAY_S), st.integers(0, 1000)), max_size=40),
    st.integers(0, 5000),
    st.none() | st.floats(0, 100 * DAY_S),
)
def test_any_cache(
    ages_and_sizes: list[tuple[float, int]], max_bytes: int, max_age_s: float | None
) -> None:
    """Afterwards the limits hold but for what is spared, and what went is what was used first."""
    entries = [entry(age_s, size) for age_s, size in ages_and_sizes]
    limits = CacheLimits(max_bytes, max_age_s)
    chosen = choose(entries, limits, NOW_S)
    gone = {id(each) for each in chosen}
    left = [each for each in entries if id(each) not in gone]
    may_go = [each for each in left if NOW_S - each.used_s > SPARED_S]
    assert all(NOW_S - each.used_s > SPARED_S for each in chosen)
    if may_go:
        assert sum(each.size_bytes for each in left) <= max_bytes
        if max_age_s is not None:
            assert all(NOW_S - each.used_s <= max_age_s for each in may_go)
        oldest_left_s = min(each.used_s for each in may_go)
        assert all(each.used_s <= oldest_left_s for each in chosen)
    is_within = sum(each.size_bytes for each in entries) <= max_bytes
    if is_within and max_age_s is None:
        assert chosen == []


def test_a_folder(tmp_path: Path) -> None:
    """Files of one name are one entry, used when its newest was; temporary ones are alone."""
    write(tmp_path / "ab" / "abc.ulaw", 50, 10)
    write(tmp_path / "ab" / "abc.alaw", 90, 10)
    write(tmp_path / "cd" / "cde.ulaw", 10, 7)
    write(tmp_path / "cd" / ".new-1", 20, 3)
    write(tmp_path / "cd" / ".new-2", 20, 3)
    (tmp_path / "elsewhere").symlink_to("/")
    found = {each.paths[0].name: each for each in list_entries(tmp_path)}
    assert set(found) == {"abc.alaw", "cde.ulaw", ".new-1", ".new-2", "elsewhere"}
    assert found["abc.alaw"].size_bytes == 20
    assert found["abc.alaw"].used_s == NOW_S - 50
    assert found[".new-1"].is_leftover
    assert list_entries(tmp_path / "missing") == []


def test_a_sweep(tmp_path: Path) -> None:
    """What was unused longest goes, both files of it, and no more than needed."""
    for day in range(10):
        for ending in ("ulaw", "alaw"):
            write(tmp_path / f"{day}{day}" / f"{day}{day}0.{ending}", (day + 1) * DAY_S, 50)
    assert sweep(tmp_path, CacheLimits(1000, None), NOW_S) == 0
    assert sweep(tmp_path, CacheLimits(700, None), NOW_S) == 4
    assert sweep(tmp_path, CacheLimits(700, 5.5 * DAY_S), NOW_S) == 1
    assert sorted(each.paths[0].name for each in list_entries(tmp_path)) == [
        f"{day}{day}0.alaw" for day in range(5)
    ]


def test_what_was_used_since_it_was_listed_stays(tmp_path: Path) -> None:
    """Another process may have found it meanwhile; what is gone already is no trouble."""
    path = write(tmp_path / "a" / "abc.ulaw", DAY_S)
    write(tmp_path / "a" / "abc.alaw", DAY_S)
    (listed,) = list_entries(tmp_path)
    os.utime(path, (NOW_S, NOW_S))
    assert not delete(listed)
    assert path.exists()
    (listed,) = list_entries(tmp_path)
    path.unlink()
    assert delete(listed)
    assert list_entries(tmp_path) == []
