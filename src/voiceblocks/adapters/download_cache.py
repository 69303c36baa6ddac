"""Downloaded files on disk: contents by their SHA-256, and beside them who served what.

Contents are immutable. An entry says what a URL had when it was asked last; it is written
after its content, so that it never names one that was not whole. Everything here blocks
and belongs into a thread.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path

import msgspec

from voiceblocks.adapters.cache_folder import CacheLimits, list_entries, sweep

_CONTENT_SUFFIX = ".audio"
_PART_PREFIX = "part-"
_SWEEP_EVERY_S = 3600.0


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
        limits: What was unused longest goes when there is more.
    """

    def __init__(self, folder: Path, limits: CacheLimits) -> None:
        self._folder = folder
        self._limits = limits
        # Counted at the first sweep, and an overestimate between two.
        self._total_bytes = 0
        self._next_sweep_s = 0.0
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
        """Drop what `url` had; its content stays until it is too old."""
        self._entry_path(url).unlink(missing_ok=True)

    def begin(self) -> tuple[int, Path]:
        """Make a file for a download: its descriptor and path, both the caller's."""
        handle, name = tempfile.mkstemp(prefix=_PART_PREFIX, dir=self._folder)
        return handle, Path(name)

    def keep(self, part: Path, sha256: str) -> Path:
        """Make a whole download a content, and delete others to make room."""
        content = self.path_of(sha256)
        size_bytes = part.stat().st_size
        part.replace(content)
        self._keep_limits(size_bytes)
        return content

    def _entry_path(self, url: str) -> Path:
        digest = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / f"{digest}.json"

    def _keep_limits(self, added_bytes: int) -> None:
        """Delete what was unused longest, if there may be too much, and once an hour by age."""
        self._total_bytes += added_bytes
        now_s = time.time()
        if self._total_bytes <= self._limits.max_bytes and now_s < self._next_sweep_s:
            return
        sweep(self._folder, self._limits, now_s)
        self._total_bytes = sum(entry.size_bytes for entry in list_entries(self._folder))
        self._next_sweep_s = now_s + _SWEEP_EVERY_S


def purge(folder: Path, sha256: str) -> None:
    """Delete a content from a cache's folder, also while a server uses that."""
    (folder / f"{sha256}{_CONTENT_SUFFIX}").unlink(missing_ok=True)
