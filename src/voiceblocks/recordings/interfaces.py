"""What the recordings' workflows need from the outside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from voiceblocks.blocks.recording_shape import PLAIN, RecordingShape


@dataclass(frozen=True, slots=True)
class AudioHealth:
    """What the audio of a recording is like, as it was stored."""

    level_dbfs: float | None
    "Of what is not silence (`audio.level`); -120 where all of it is. `None` if it is sealed."
    silent_ms: int | None
    "Quieter than `audio.silence.SILENCE_DBFS`; `None` if it is sealed."
    absent_ms: int
    "For which nothing came from the network, in the whole recording: it is silence there."
    paused_ms: int = 0
    "In which the recording was paused; neither silent nor absent. In the file, where it is cut."


@dataclass(frozen=True, slots=True)
class EncodedRecording:
    """A finished file on local disk, read back and found right."""

    path: Path
    size_bytes: int
    sha256: str
    duration_ms: int
    n_samples: int
    "Exact number of 8 kHz samples that a decoder gives back."
    health: AudioHealth


class RecordingEncoder(Protocol):
    """Turns a growing spool into an MP3 while the call goes on (decision 17)."""

    def follow(self, name: str, spool_path: Path, shape: RecordingShape = PLAIN) -> None:
        """Begin to encode `spool_path` as it grows, some way behind its end. Returns at once."""
        ...

    async def finish(
        self,
        name: str,
        spool_path: Path,
        n_samples: int,
        shape: RecordingShape = PLAIN,
        finish_key: str | None = None,
    ) -> EncodedRecording:
        """
        Encode what is left up to `n_samples` and return the finished file.

        Where `finish_key` is heard at the end, the recording ends where that begins.

        The spool must be complete. Works also for a spool that was never followed, or
        whose process died: then all of it is encoded now.

        Raises:
            EncodeError: If it cannot be encoded, with the cause chained.
        """
        ...

    def follow_stereo(
        self, name: str, left: Path, right: Path, shape: RecordingShape = PLAIN
    ) -> None:
        """As `follow`, of two spools that become the channels of one recording."""
        ...

    async def finish_stereo(
        self, name: str, left: Path, right: Path, n_samples: int, shape: RecordingShape = PLAIN
    ) -> EncodedRecording:
        """
        As `finish`; the two may differ in length, law and time zero (which are aligned).

        Time zero of the result is the left one's. A spool that does not exist is a silent
        channel.

        Raises:
            EncodeError: If it cannot be encoded, or neither spool exists.
        """
        ...

    def abandon(self, name: str) -> None:
        """Forget a followed spool; nothing is kept."""
        ...


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A stored recording as the store knows it."""

    size_bytes: int
    last_modified_us: int
    awaits_upload: bool = False
    "It is on local disk, and belongs in a remote store."


class RecordingStore(Protocol):
    """Keeps finished recordings by name, such as `rec-….mp3`. All failures are `StoreError`."""

    async def put(self, name: str, source: Path) -> StoredObject:
        """
        Store `source` durably under `name`.

        It must not change any more; it may be deleted. On the same disk both are one file.
        """
        ...

    async def sha256(self, name: str) -> str:
        """Read all of it back, and return the hash in lower-case hex."""
        ...

    async def stat(self, name: str) -> StoredObject | None:
        """Size and date, or `None` where there is none."""
        ...

    def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield bytes `start` to `end` (exclusive)."""
        ...

    async def delete(self, name: str) -> None:
        """Delete; deleting what is not there is fine."""
        ...


class RecordingCopies(RecordingStore, Protocol):
    """A store whose recordings may first be on local disk, and in a remote store later."""

    async def upload(self, name: str, sha256: str) -> None:
        """
        Copy what was put to the remote store; the local copy stays.

        Returns once the remote object was read back and has this hash. May be repeated.
        """
        ...

    async def forget_local(self, name: str) -> None:
        """Delete the local copy of what was uploaded."""
        ...

    async def local_names(self) -> list[str]:
        """Names of all local copies; nothing where there is no remote store."""
        ...

    async def remote_link(
        self, name: str, method: Literal["GET", "HEAD"], ttl_s: int
    ) -> str | None:
        """The remote store's own link, `None` for what is not there or not only there."""
        ...
