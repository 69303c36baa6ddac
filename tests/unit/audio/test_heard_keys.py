"""Keys in recorded audio: found at the end to within some milliseconds, or silenced."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voiceblocks.audio.dtmf import BLOCK, KEYS, ToneDetector, dtmf_tone, first_to_hear
from voiceblocks.audio.g711 import ulaw_decode, ulaw_encode
from voiceblocks.audio.heard_keys import KeySilencer, where_key_begins
from voiceblocks.audio.level import goertzel_level_dbfs, rms_dbfs
from voiceblocks.testing import tone_code

Samples = NDArray[np.int16]

MS = 8


def through_ulaw(samples: Samples) -> Samples:
    """As it comes from a telephone."""
    return ulaw_decode(ulaw_encode(samples))


def voice(n_samples: int, seed: int) -> Samples:
    """Voiced sound: a pitch with harmonics whose strengths wander, and some breath."""
    rng = np.random.default_rng(seed)
    turns = 2 * np.pi * np.arange(n_samples) / 8000
    pitch = 90 + 120 * rng.random()
    out = rng.normal(0, 150, n_samples)
    for harmonic in range(1, 16):
        wander = np.interp(
            np.arange(n_samples), np.arange(0, n_samples + 400, 400),
            rng.random(len(np.arange(0, n_samples + 400, 400))),
        )  # fmt: skip
        out += 4000 / harmonic * wander * np.sin(pitch * harmonic * turns + rng.random() * 6)
    return out.astype(np.int16)


def keys_in(samples: Samples) -> list[str]:
    """What the detector hears, however its blocks lie."""
    found: list[str] = []
    for shift in (0, 40):
        detector = ToneDetector(1)
        part = samples[shift : shift + (len(samples) - shift) // BLOCK * BLOCK]
        for block in part.reshape(-1, BLOCK):
            found += [key for _s, key, _o in detector.hear(np.zeros(1, np.int64), block[None, :])]
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2000, 24_000),
    st.integers(45 * MS, 900 * MS),
    st.integers(0, 400 * MS),
    st.sampled_from("#*5"),
    st.floats(-24, -8),
    st.integers(0, 1000),
    st.booleans(),
)
def test_what_comes_before_the_key_stays_and_the_key_goes(
    before: int, pressed: int, after: int, key: str, level: float, seed: int, speaks: bool
) -> None:
    """Whatever was said until then, how long and loud the key is, and how late its INFO comes."""
    spoken = voice(before, seed) if speaks else np.zeros(before, np.int16)
    audio = np.concatenate((spoken, dtmf_tone(key, pressed / MS, level), np.zeros(after, np.int16)))
    audio = through_ulaw(audio)
    start = where_key_begins(audio, key)
    assert before - 20 * MS <= start <= before + 10 * MS
    assert keys_in(audio[:start]) == []


@pytest.mark.parametrize("leaked_ms", [15, 20, 30, 38])
def test_what_leaks_before_an_event_goes_too(leaked_ms: int) -> None:
    """A gateway passes the beginning of a tone on, too short for any detector, then an event."""
    spoken = voice(12_000, 3)
    audio = through_ulaw(np.concatenate((spoken, dtmf_tone("#", leaked_ms, -10.0))))
    start = where_key_begins(audio, "#")
    assert 12_000 - 20 * MS <= start <= 12_000 + 8 * MS
    left = audio[start:][: max(0, 12_000 - start)]
    assert len(left) <= 20 * MS


@pytest.mark.parametrize("seed", range(40))
def test_speech_alone_is_not_cut(seed: int) -> None:
    """Where the key is not heard nothing is taken, not even of a voice at its pitch."""
    audio = through_ulaw(voice(16_000, seed))
    assert where_key_begins(audio, "#") == len(audio)


def test_only_the_key_that_ended_it_is_cut() -> None:
    """Other keys are the caller's own business."""
    tone = dtmf_tone("5", 200.0)
    audio = through_ulaw(np.concatenate((voice(8000, 1), tone, np.zeros(800, np.int16))))
    assert where_key_begins(audio, "#") == len(audio)


@settings(max_examples=25, deadline=None)
@given(
    st.text(KEYS, min_size=1, max_size=6),
    st.lists(st.integers(1, 4000), max_size=12),
    st.integers(50, 250),
    st.integers(60, 300),
)
def test_silenced_keys_are_gone_however_the_stream_is_cut(
    keys: str, cuts: list[int], tone_ms: int, pause_ms: int
) -> None:
    """Nothing is heard of any key, the length stays, and cuts make no difference."""
    parts = [voice(4000, 5)]
    for key in keys:
        parts += [dtmf_tone(key, float(tone_ms)), np.zeros(pause_ms * MS, np.int16)]
    audio = through_ulaw(np.concatenate((*parts, voice(4000, 6))))
    places = np.cumsum(cuts)
    pieces = np.split(audio, places[places < len(audio)])
    silencer = KeySilencer()
    out = np.concatenate([*(silencer.feed(piece) for piece in pieces), silencer.flush()])
    whole = KeySilencer()
    assert np.array_equal(out, np.concatenate((whole.feed(audio), whole.flush())))
    assert len(out) == len(audio)
    assert keys_in(out) == []
    for number, key in enumerate(keys):
        begins = 4000 + number * (tone_ms + pause_ms) * MS
        part = out[begins : begins + tone_ms * MS]
        row = (697.0, 770.0, 852.0, 941.0)[KEYS.index(key) // 4]
        assert goertzel_level_dbfs(part, row) < -45


def test_speech_passes_the_silencer_unchanged() -> None:
    """Ten seconds of code, which is tones of another kind, come out as they went in."""
    audio = through_ulaw(tone_code.encode_seconds(0, 10))
    silencer = KeySilencer()
    out = np.concatenate((silencer.feed(audio), silencer.flush()))
    assert np.array_equal(out, audio)
    assert rms_dbfs(out) > -40


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 9000),
    st.integers(0, 200 * MS),
    st.sampled_from("#*5"),
    st.floats(-40, -8),
    st.integers(0, 1000),
)
def test_what_need_not_be_heard_changes_nothing(
    before: int, lasts: int, key: str, level_dbfs: float, seed: int
) -> None:
    """A detector that is given audio from `first_to_hear` on hears the keys of the whole."""
    tone = dtmf_tone(key, lasts / MS, level_dbfs)
    samples = np.concatenate((voice(before + 80, seed), tone, np.zeros(800, np.int16)))
    blocks = through_ulaw(samples[: len(samples) // BLOCK * BLOCK]).reshape(-1, BLOCK)

    def heard_from(first: int) -> list[tuple[int, str, int]]:
        detector, slot = ToneDetector(1), np.zeros(1, np.int64)
        return [
            (number, found, offset)
            for number in range(first, len(blocks))
            for _slot, found, offset in detector.hear(slot, blocks[number : number + 1])
        ]

    assert heard_from(first_to_hear(blocks)) == heard_from(0)


def test_silence_and_voices_need_not_be_heard_at_all() -> None:
    """Where there is no key nothing is given to the detector: most recordings end so."""
    silence = np.zeros((200, BLOCK), np.int16)
    assert first_to_hear(silence) == 200
    assert first_to_hear(silence[:0]) == 0
    assert first_to_hear(silence[:2]) == 2
    assert first_to_hear(voice(200 * BLOCK, 1).reshape(-1, BLOCK)) == 200
