"""Tone-coded audio in a recording, told apart from audio that lost or moved something."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import soundfile

from voiceblocks.audio.level import goertzel_level_dbfs, rms_dbfs
from voiceblocks.audio.tones import BEEP_DURATION_MS, BEEP_FREQUENCY_HZ
from voiceblocks.testing import tone_code

RATE_HZ = 8000
SAMPLES_PER_MS = 8

_FRAME = 160

PLACE_TOLERANCE_MS = 20.0
"How far from its place a second may lie: a peer's clock and pacing are its own."


def length_ms(mp3: bytes) -> float:
    """How long an MP3 lasts by libsndfile."""
    return len(_samples(mp3)) / SAMPLES_PER_MS


def seconds_in_place(mp3: bytes, *, pauses_ms: float = 0.0) -> list[tone_code.Heard]:
    """
    The whole seconds in an MP3, which must follow each other without gap, shift or repeat.

    The recording may begin and end in the middle of a second.

    Args:
        mp3: The recording.
        pauses_ms: How long the peer may pause altogether, where a busy machine makes it late
            and it says so in its timestamps instead of catching up. Nothing may be missing
            even then.
    """
    samples = _samples(mp3)
    heard = tone_code.decode_seconds(samples)
    assert heard, "no tone-coded second at all"
    first = heard[0]
    for offset, second in enumerate(heard):
        due_ms = first.starts_at_ms + 1000.0 * offset
        assert second.second_index == first.second_index + offset, _story(heard)
        late_ms = second.starts_at_ms - due_ms
        assert -PLACE_TOLERANCE_MS <= late_ms <= PLACE_TOLERANCE_MS + pauses_ms, _story(heard)
    whole = [
        second
        for second in heard
        if second.starts_at_ms >= 0 and second.starts_at_ms + 990 <= len(samples) / SAMPLES_PER_MS
    ]
    for second in whole:
        assert second.heard_ms >= tone_code.HEARD_ENOUGH_MS, _story(heard)
    return whole


def beep_ended(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> bool:
    """Whether the beep before a recording is in what a peer heard, from its start to its end."""
    # The frames at both ends of the beep are not whole.
    enough = BEEP_DURATION_MS // 20 - 3
    run = 0
    for is_beep in _frames(samples):
        if not is_beep and run >= enough:
            return True
        run = run + 1 if is_beep else 0
    return False


def _samples(mp3: bytes) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    samples, rate_hz = soundfile.read(io.BytesIO(mp3), dtype="int16")
    assert rate_hz == RATE_HZ
    return np.asarray(samples)


def _story(heard: list[tone_code.Heard]) -> str:
    return ", ".join(
        f"second {one.second_index} at {one.starts_at_ms:.0f} ms for {one.heard_ms:.0f} ms"
        for one in heard
    )


def _frames(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> Iterator[bool]:
    """For each 20 ms, whether it is the beep."""
    for start in range(0, len(samples) - _FRAME + 1, _FRAME):
        frame = samples[start : start + _FRAME]
        level = rms_dbfs(frame)
        yield level > -40 and goertzel_level_dbfs(frame, BEEP_FREQUENCY_HZ) > level - 3
