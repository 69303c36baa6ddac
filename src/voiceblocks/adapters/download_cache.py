"""Downloaded files on disk: contents by their SHA-256, and beside them who served what.

Contents are immutable. An entry says what a URL had when it was asked last; it is written
after its content, so that it never names one that was not whole. Everything here blocks
and belongs into a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

CACHE_MAX_BYTES = 1024 * 1024 * 1024
_CONTENT_SUFFIX = ".audio"
_PART_PREFIX = "part-"


class Entry(msgspec.Struct, frozen=True):
    """What a URL had. The URL itself is not on disk: its query may be secret."""

    sha256: str
    size_bytes: int
    etag: str | None
    last_modified: str | None
    "As its server wrote it."
    checked_us: int = 0
    "When its server last said that this is it, UTC."
    fresh_s: int = 0
    "How long after that nobody needs to ask."
    may_outlive_failure: bool = True
    "Whether it may be used while its server is down."


class DownloadCache:
    """
    A folder of contents and entries, used by one process.

    Args:
        folder: Made when missing, private to the process's user. Halves of downloads that
            an earlier process left are deleted.
        max_bytes: What was unused longest goes when there is more.
    """

    def __init__(self, folder: Path, max_bytes: int = CACHE_MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.glob(f"{_PART_PREFIX}*"):
            left.unlink(missing_ok=True)

    def path_of(self, sha256: str) -> Path:
        """Where a content lies, or would."""
        return self._folder / f"{sha256}{_CONTENT_SUFFIX}"

    def find(self, url: str) -> Entry | None:
        """Return what `url` had, if its content is still whole."""
        path = self._entry_path(url)
        try:
            entry = msgspec.json.decode(path.read_bytes(), type=Entry)
        except (OSError, msgspec.DecodeError):
            return None
        return entry if self.has(entry.sha256, entry.size_bytes) else None

    def has(self, sha256: str, size_bytes: int) -> bool:
        """Whether a content is here; it counts as used now."""
        content = self.path_of(sha256)
        try:
            if content.stat().st_size != size_bytes:
                return False
            os.utime(content)
        except OSError:
            return False
        return True

    def remember(self, url: str, entry: Entry) -> None:
        """Write what `url` has now."""
        path = self._entry_path(url)
        handle, name = tempfile.mkstemp(prefix=_PART_PREFIX, dir=self._folder)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(entry))
        Path(name).replace(path)

    def forget(self, url: str) -> None:
        """Drop what `url` had; its content stays until it is evicted."""
        self._entry_path(url).unlink(missing_ok=True)

    def begin(self) -> tuple[int, Path]:
        """Make a file for a download: its descriptor and path, both the caller's."""
        handle, name = tempfile.mkstemp(prefix=_PART_PREFIX, dir=self._folder)
        return handle, Path(name)

    def keep(self, part: Path, sha256: str) -> Path:
        """Make a whole download a content, and evict others to make room."""
        content = self.path_of(sha256)
        part.replace(content)
        self._evict(keep=content)
        return content

    def _entry_path(self, url: str) -> Path:
        digest = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / f"{digest}.json"

    def _evict(self, keep: Path) -> None:
        """Delete the contents that were unused longest, until the rest fits."""
        files = _by_age(self._folder.glob(f"*{_CONTENT_SUFFIX}"))
        total_bytes = sum(stat.st_size for stat, _ in files)
        evicted = set()
        while files and total_bytes > self._max_bytes and files[0][1] != keep:
            stat, path = files.pop(0)
            path.unlink(missing_ok=True)
            total_bytes -= stat.st_size
            evicted.add(path.stem)
        for entry in self._folder.glob("*.json") if evicted else ():
            # Several URLs may have had the same content.
            with contextlib.suppress(OSError, msgspec.DecodeError):
                if msgspec.json.decode(entry.read_bytes(), type=Entry).sha256 in evicted:
                    entry.unlink(missing_ok=True)


def _by_age(paths: Iterable[Path]) -> list[tuple[os.stat_result, Path]]:
    """The files that are there, oldest first; another thread may delete some meanwhile."""
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            found.append((path.stat(), path))
    found.sort(key=lambda item: item[0].st_mtime_ns)
    return found


def purge(folder: Path, sha256: str) -> None:
    """Delete a content from a cache's folder, also while a server uses that."""
    (folder / f"{sha256}{_CONTENT_SUFFIX}").unlink(missing_ok=True)
