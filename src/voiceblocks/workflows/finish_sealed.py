"""A sealed recording is over: it is stored as it is, since nobody here can hear or change it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from voiceblocks.calls.events import RecordedAudio
from voiceblocks.errors import StoreError
from voiceblocks.recordings.interfaces import AudioHealth, EncodedRecording
from voiceblocks.recordings.sealed_spool import read_sealed

_SAMPLES_PER_MS = 8


def take_sealed(path: Path, audio: RecordedAudio) -> EncodedRecording:
    """
    Say of a complete sealed spool what is known without its key; the file stays where it is.

    Raises:
        StoreError: When it cannot be read, or is something else.
    """
    absent_ms = audio.absent_ms
    if absent_ms is None:
        absent_ms = read_sealed(path).absent_ms
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            size_bytes = file.tell()
    except OSError as error:
        raise StoreError(f"sealed spool {path.name} cannot be read") from error
    return EncodedRecording(
        path=path,
        size_bytes=size_bytes,
        sha256=digest.hexdigest(),
        duration_ms=round(audio.n_samples / _SAMPLES_PER_MS),
        n_samples=audio.n_samples,
        health=AudioHealth(
            level_dbfs=None, silent_ms=None, absent_ms=absent_ms, paused_ms=audio.paused_ms or 0
        ),
    )
