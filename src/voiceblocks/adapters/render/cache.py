"""Finished prompts on disk, found by what they were made from.

An entry is two headerless G.711 files, `KEY.ulaw` and `KEY.alaw`, of equal length.
They are written beside and renamed, the u-law file last, so that a reader in any
process sees a whole entry or none, and two writers of one key do no harm: they
write the same. Nothing is synced: what a power cut leaves behind is an empty or
unequal pair, which counts as absent and is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voiceblocks.audio import g711
from voiceblocks.speech.interfaces import Clip

FORMAT_VERSION = "2"
"Part of every key: change it when levels, trimming or filters change."

_HASH_BYTES = 1 << 20
_TEMPORARY = ".new-"
_RECENT_S = 2 * 86_400


def key_of(*parts: str) -> str:
    """A key for an entry that is made from exactly `parts`."""
    digest = hashlib.sha256()
    for part in (FORMAT_VERSION, *parts):
        data = part.encode("utf-8", "surrogatepass")
        # The length keeps ("ab", "c") and ("a", "bc") apart.
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content, as hex. Blocks while it reads."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_HASH_BYTES):
            digest.update(piece)
    return digest.hexdigest()


class ClipCache:
    """
    A folder of entries.

    Args:
        folder: Made at once if need be; may be shared by processes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def find(self, key: str) -> Clip | None:
        """The entry, or `None`; costs two `stat` calls."""
        ulaw_path, alaw_path = self._paths(key)
        try:
            n_samples = ulaw_path.stat().st_size
            if n_samples == 0 or alaw_path.stat().st_size != n_samples:
                return None
        except FileNotFoundError:
            return None
        return Clip(ulaw_path=ulaw_path, alaw_path=alaw_path, n_samples=n_samples)

    def store(self, key: str, samples: npt.NDArray[np.int16]) -> Clip:
        """
        Write an entry.

        Args:
            key: From `key_of`.
            samples: 8 kHz mono, at least one.

        Raises:
            OSError: If the disk refuses.
        """
        ulaw_path, alaw_path = self._paths(key)
        ulaw_path.parent.mkdir(exist_ok=True)
        _write_atomically(alaw_path, g711.alaw_encode(samples).tobytes())
        _write_atomically(ulaw_path, g711.ulaw_encode(samples).tobytes())
        return Clip(ulaw_path=ulaw_path, alaw_path=alaw_path, n_samples=len(samples))

    def remove(self, key: str) -> None:
        """Delete an entry; whoever has its files open keeps reading. None is fine."""
        for path in self._paths(key):
            path.unlink(missing_ok=True)

    def prune(self, max_bytes: int, now_s: float) -> None:
        """
        Delete what was unused longest until the rest fits. For start-up: it looks at all files.

        Args:
            max_bytes: For all entries together.
            now_s: Seconds since 1970. What was used in the two days before stays in any
                case: another process may just have handed it out (and file systems note
                the time of a reading only once a day).
        """
        entries: list[tuple[float, int, Path]] = []
        for path in self._folder.glob("??/*"):
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                used_s = max(stat.st_atime, stat.st_mtime)
                if path.name.startswith(_TEMPORARY):
                    if now_s - used_s > _RECENT_S:
                        path.unlink(missing_ok=True)
                else:
                    entries.append((used_s, stat.st_size, path))
        excess = sum(size for _used_s, size, _path in entries) - max_bytes
        for used_s, size, path in sorted(entries):
            if excess <= 0 or now_s - used_s <= _RECENT_S:
                return
            path.unlink(missing_ok=True)
            excess -= size

    def _paths(self, key: str) -> tuple[Path, Path]:
        # 256 folders: a year of dynamic texts is more than one folder likes.
        folder = self._folder / key[:2]
        return folder / f"{key}.ulaw", folder / f"{key}.alaw"


def _write_atomically(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
