"""What the control process and the children of the render pool say to each other.

A child has one of four roles: `encode` (recordings), `speech` (texts, by espeak-ng), `piper`
(texts, by Piper's voices) and `files` (custom audio, a server's speech, and what we
generate). Audio itself never travels here, only paths.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from voiceblocks.blocks.recording_shape import PLAIN, RecordingShape
from voiceblocks.recordings.interfaces import AudioHealth


class Follow(msgspec.Struct, frozen=True, tag="follow"):
    """Encode this spool as it grows. Not answered."""

    name: str
    spool_path: str
    heard_path: str | None = None
    "The right channel's, where the recording is stereo."
    shape: RecordingShape = PLAIN


class Finish(msgspec.Struct, frozen=True, tag="finish"):
    """Encode what is left; answered by `Encoded` or `Failed`."""

    job: int
    name: str
    spool_path: str
    n_samples: int
    heard_path: str | None = None
    "As in `Follow`."
    shape: RecordingShape = PLAIN
    finish_key: str | None = None
    "What ended it: the recording ends where that is heard to begin."


class Abandon(msgspec.Struct, frozen=True, tag="abandon"):
    """Forget a followed spool and its part file. Not answered."""

    name: str


class RenderSpeech(msgspec.Struct, frozen=True, tag="speech"):
    """Speak into the cache; answered by `Rendered` or `Failed`."""

    job: int
    key: str
    "Of the cache entry."
    text: str
    voice: str


class RenderFile(msgspec.Struct, frozen=True, tag="file"):
    """Turn an audio file into a cache entry; answered by `Rendered` or `Failed`."""

    job: int
    key: str
    source: str
    extension: str
    is_speech: bool = False
    "Whether it is a server's speech, whose silence at both ends goes."


class RenderBeep(msgspec.Struct, frozen=True, tag="beep"):
    """Make the recording tone; answered by `Rendered`."""

    job: int
    key: str


class RenderHoldMusic(msgspec.Struct, frozen=True, tag="hold_music"):
    """Make the music on hold; answered by `Rendered`."""

    job: int
    key: str


class RenderRingTone(msgspec.Struct, frozen=True, tag="ring_tone"):
    """Make a country's ring-back tone; answered by `Rendered`."""

    job: int
    key: str
    country: str


class SweepCache(msgspec.Struct, frozen=True, tag="sweep"):
    """Delete what is too old or too much in the cache; answered by `Rendered` or `Failed`."""

    job: int
    max_bytes: int
    max_age_s: float | None
    "See `cache_folder.CacheLimits`."


class FoundVoice(msgspec.Struct, frozen=True):
    """A voice of Piper's folder that can be used."""

    name: str
    "Its path in the folder, without `.onnx`."
    language: str
    "A code of `speech.languages`."
    gender: Literal["", "female", "male"]
    "Empty where nobody said: it serves both."
    version: str
    "Changes with its files."


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The child's first message."""

    engine_version: str = ""
    "Of the speech engine, as part of cache keys; empty where there is none."
    voices: list[FoundVoice] = []
    "Of the `piper` role."
    complaints: list[str] = []
    "A sentence for each thing that is wrong with them."


class Encoded(msgspec.Struct, frozen=True, tag="encoded"):
    """A recording is finished and on disk."""

    job: int
    path: str
    size_bytes: int
    sha256: str
    n_samples: int
    health: AudioHealth


class Rendered(msgspec.Struct, frozen=True, tag="rendered"):
    """The cache has the entry, or is within its limits."""

    job: int


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A job failed for a reason of its own, and would fail again."""

    job: int
    reason: str
    no_sound: bool = False
    "Whether there was nothing to say."


Render = RenderSpeech | RenderFile | RenderBeep | RenderHoldMusic | RenderRingTone
"Messages that ask for a cache entry."

Job = Finish | Render | SweepCache
"Messages that are answered."

ToChild = Follow | Finish | Abandon | Render | SweepCache
FromChild = Ready | Encoded | Rendered | Failed
