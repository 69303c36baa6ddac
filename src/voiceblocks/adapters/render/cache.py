"""Finished prompts on disk, found by what they were made from.

An entry is two headerless G.711 files, `KEY.ulaw` and `KEY.alaw`, of equal length.
They are written beside and renamed, the u-law file last, so that a reader in any
process sees a whole entry or none, and two writers of one key do no harm: they
write the same. Nothing is synced: what a power cut leaves behind is an empty or
unequal pair, which counts as absent and is made again.

Whoever finds an entry touches it, so that no process deletes it (see `cache_folder`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
import weakref
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voiceblocks.adapters.cache_folder import SPARED_S
from voiceblocks.audio import g711
from voiceblocks.speech.interfaces import Clip

FORMAT_VERSION = "2"
"Part of every key: change it when levels, trimming or filters change."

TOUCH_AFTER_S = SPARED_S / 5
"An entry that was touched more recently is not touched again: most calls only look."

_HASH_BYTES = 1 << 20
_TEMPORARY = ".new-"


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
        self.folder = folder
        self._held: weakref.WeakValueDictionary[str, Clip] = weakref.WeakValueDictionary()
        folder.mkdir(parents=True, exist_ok=True)

    def find(self, key: str) -> Clip | None:
        """The entry, or `None`; costs two `stat` calls."""
        ulaw_path, alaw_path = self._paths(key)
        try:
            status = ulaw_path.stat()
            n_samples = status.st_size
            if n_samples == 0 or alaw_path.stat().st_size != n_samples:
                return None
            if time.time() - status.st_mtime > TOUCH_AFTER_S:
                os.utime(ulaw_path)
        except FileNotFoundError:
            return None
        return self._hold(key, n_samples)

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
        ulaw_path.parent.mkdir(parents=True, exist_ok=True)
        _write_atomically(alaw_path, g711.alaw_encode(samples).tobytes())
        _write_atomically(ulaw_path, g711.ulaw_encode(samples).tobytes())
        return self._hold(key, len(samples))

    def remove(self, key: str) -> None:
        """Delete an entry; whoever has its files open keeps reading. None is fine."""
        for path in self._paths(key):
            path.unlink(missing_ok=True)

    def held(self) -> list[Clip]:
        """The clips that somebody in this process still has, and may play."""
        return list(self._held.values())

    def _hold(self, key: str, n_samples: int) -> Clip:
        clip = self._held.get(key)
        if clip is None or clip.n_samples != n_samples:
            ulaw_path, alaw_path = self._paths(key)
            clip = Clip(ulaw_path=ulaw_path, alaw_path=alaw_path, n_samples=n_samples)
            self._held[key] = clip
        return clip

    def _paths(self, key: str) -> tuple[Path, Path]:
        # 256 folders: a year of dynamic texts is more than one folder likes.
        folder = self.folder / key[:2]
        return folder / f"{key}.ulaw", folder / f"{key}.alaw"


def touch(clips: Iterable[Clip]) -> None:
    """Say that clips are still in use. Blocks; what was deleted stays so."""
    for clip in clips:
        with contextlib.suppress(OSError):
            os.utime(clip.ulaw_path)


def _write_atomically(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
