"""What a cache's folder holds, and what of it goes: bounded by age and size, unused longest first.

An entry is all files of one name, whatever their endings: they are made, used and deleted
together. When it was used is the latest change of one of its files, since file systems note
the time of a reading seldom or never: whoever uses an entry touches it. That is all that two
processes need to know of each other. One that deletes spares what was used within `SPARED_S`,
and one that goes on using something touches it again before that time is over.

What is open or mapped is read to its end also after it was deleted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SPARED_S = 120.0
"What was used so recently may be in use."

LEFTOVER_S = 3600.0
"A file in the making that is older was left by a process that died."

LEFTOVER_PREFIXES = (".new-", "part-")

_FULL_SHARE = 0.9
"Of the size that is allowed is left, so that not each new entry costs an old one."


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """Files that belong together."""

    paths: tuple[Path, ...]
    size_bytes: int
    used_s: float
    "Seconds since 1970."

    @property
    def is_leftover(self) -> bool:
        """Whether it is no entry, but one in the making."""
        return self.paths[0].name.startswith(LEFTOVER_PREFIXES)


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """How much a cache may hold."""

    max_bytes: int = 2 << 30
    max_age_s: float | None = 30 * 86_400.0
    "Since an entry was last used; `None` is for ever."


def list_entries(folder: Path) -> list[CacheEntry]:
    """All entries of a folder and those below it; of a folder that is missing, none."""
    found: dict[Path, tuple[list[Path], int, float]] = {}
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as listing:
                for item in listing:
                    if item.is_dir(follow_symlinks=False):
                        waiting.append(item.path)
                        continue
                    path = Path(item.path)
                    stat = item.stat(follow_symlinks=False)
                    name = path if path.name.startswith(LEFTOVER_PREFIXES) else path.with_suffix("")
                    paths, size_bytes, used_s = found.get(name, ([], 0, 0.0))
                    paths.append(path)
                    found[name] = paths, size_bytes + stat.st_size, max(used_s, stat.st_mtime)
        except FileNotFoundError:
            # Others add and delete meanwhile.
            continue
    return [
        CacheEntry(tuple(sorted(paths)), size_bytes, used_s)
        for paths, size_bytes, used_s in found.values()
    ]


def choose(entries: Iterable[CacheEntry], limits: CacheLimits, now_s: float) -> list[CacheEntry]:
    """
    What goes so that the limits hold; what was used within `SPARED_S` never does.

    Args:
        entries: All of a cache.
        limits: Of the cache.
        now_s: Seconds since 1970.

    Returns:
        Unused longest first.
    """
    ordered = sorted(entries, key=lambda entry: entry.used_s)
    total_bytes = sum(entry.size_bytes for entry in ordered)
    wanted_bytes = total_bytes
    if total_bytes > limits.max_bytes:
        wanted_bytes = int(limits.max_bytes * _FULL_SHARE)
    chosen = []
    for entry in ordered:
        age_s = now_s - entry.used_s
        if entry.is_leftover:
            goes = age_s > LEFTOVER_S
        else:
            is_old = limits.max_age_s is not None and age_s > limits.max_age_s
            goes = age_s > SPARED_S and (is_old or total_bytes > wanted_bytes)
        if goes:
            chosen.append(entry)
            total_bytes -= entry.size_bytes
    return chosen


def delete(entry: CacheEntry) -> bool:
    """Delete an entry, unless somebody has used it since it was listed; returns whether it went."""
    for path in entry.paths:
        try:
            if path.stat().st_mtime > entry.used_s:
                return False
        except FileNotFoundError:
            continue
    for path in entry.paths:
        path.unlink(missing_ok=True)
    return True


def sweep(folder: Path, limits: CacheLimits, now_s: float) -> int:
    """
    Delete what is too old or too much.

    Takes a second for a hundred thousand files: not for a process that carries calls.

    Returns:
        How many entries went.

    Raises:
        OSError: If the folder cannot be read, or its files cannot be deleted.
    """
    return sum(delete(entry) for entry in choose(list_entries(folder), limits, now_s))
