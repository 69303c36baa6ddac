"""The file that a recording becomes: samples in, keys made silent, measured, encoded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from voiceblocks.adapters.mp3_encoder import Mp3Writer
from voiceblocks.adapters.wav_writer import WavWriter
from voiceblocks.audio.heard_keys import KeySilencer
from voiceblocks.audio.level import FULL_SCALE, SILENT_DBFS
from voiceblocks.audio.silence import is_sound, mean_squares
from voiceblocks.blocks.recording_shape import RecordingShape
from voiceblocks.recordings.spool import SLOT_SAMPLES

Samples = npt.NDArray[np.int16]

SAMPLES_PER_MS = 8


class Writer(Protocol):
    """What `Mp3Writer` and `WavWriter` have in common."""

    def write(self, samples: Samples) -> None:
        """Append samples."""
        ...

    def finish(self) -> tuple[int, int, str]:
        """Complete the file: samples, bytes, SHA-256."""
        ...

    def abandon(self) -> None:
        """Remove it, unless it was finished."""
        ...


_WRITERS: Mapping[str, Callable[[Path, int], Writer]] = MappingProxyType(
    {"mp3": Mp3Writer, "wav": WavWriter}
)


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is complete."""

    n_samples: int
    size_bytes: int
    sha256: str
    level_dbfs: float
    silent_ms: int


class Loudness:
    """Level and silence of a stream of samples, of the caller's channel."""

    def __init__(self) -> None:
        self._sound_slots = 0
        self._silent_samples = 0
        self._mean_squares = 0.0

    def take(self, samples: Samples) -> None:
        """Measure whole slots, and at the end of the stream one that is not."""
        mono = samples if samples.ndim == 1 else samples[:, 0]
        whole = len(mono) // SLOT_SAMPLES * SLOT_SAMPLES
        parts = [mono[:whole].reshape(-1, SLOT_SAMPLES)]
        if whole < len(mono):
            parts.append(mono[whole:][None, :])
        for blocks in parts:
            means = mean_squares(blocks)
            sound = is_sound(means)
            self._sound_slots += int(sound.sum())
            self._silent_samples += int((~sound).sum()) * blocks.shape[1]
            self._mean_squares += float(means[sound].sum())

    @property
    def level_dbfs(self) -> float:
        """Of what is not silence."""
        if not self._sound_slots:
            return SILENT_DBFS
        mean = self._mean_squares / self._sound_slots
        return round(10 * math.log10(2 * mean / FULL_SCALE**2), 1)

    @property
    def silent_ms(self) -> int:
        """How much of it is silence."""
        return self._silent_samples // SAMPLES_PER_MS


class RecordedFile:
    """
    One file that grows.

    Args:
        path: The file; owned until `finish` or `abandon`.
        channels: 1 or 2; keys are silenced in each of them.
        shape: What it is to become.

    Raises:
        EncodeError: If the file cannot be made.
    """

    def __init__(self, path: Path, channels: int, shape: RecordingShape) -> None:
        self._writer: Writer = _WRITERS[shape.format](path, channels)
        self._silencers = [KeySilencer() for _ in range(channels if shape.silences_keys else 0)]
        self._loudness = Loudness()

    def write(self, samples: Samples) -> None:
        """
        Append samples: whole slots, but for the last ones.

        Raises:
            EncodeError: As the writers do.
        """
        if self._silencers:
            # All of them hold back as much.
            sides = samples.reshape(len(samples), -1).T
            samples = _side_by_side(
                [one.feed(side) for one, side in zip(self._silencers, sides, strict=True)]
            )
        self._put(samples)

    def finish(self) -> Written:
        """
        Complete the file.

        Raises:
            EncodeError: As the writers do, which remove the file then.
        """
        if self._silencers:
            self._put(_side_by_side([one.flush() for one in self._silencers]))
        n_samples, size_bytes, sha256 = self._writer.finish()
        measured = self._loudness
        return Written(n_samples, size_bytes, sha256, measured.level_dbfs, measured.silent_ms)

    def abandon(self) -> None:
        """Remove the file, unless it was finished."""
        self._writer.abandon()

    def _put(self, samples: Samples) -> None:
        if len(samples):
            self._loudness.take(samples)
            self._writer.write(samples)


def _side_by_side(channels: list[Samples]) -> Samples:
    return channels[0] if len(channels) == 1 else np.stack(channels, axis=1)
