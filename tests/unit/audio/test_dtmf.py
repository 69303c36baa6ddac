"""Keypad tones: what must be heard (ITU-T Q.24), and what must not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceblocks.adapters.espeak import find_engine, voice_name
from voiceblocks.adapters.render.rendering import speak
from voiceblocks.audio import g711
from voiceblocks.audio.dtmf import (
    BLOCK,
    COLUMNS_HZ,
    FULL_SCALE_DBM0,
    KEYS,
    ROWS_HZ,
    TONE_LEVEL_DBFS,
    ToneDetector,
    dtmf_tone,
)
from voiceblocks.audio.g711 import Samples
from voiceblocks.audio.level import FULL_SCALE, goertzel_level_dbfs
from voiceblocks.audio.tones import tone

LAWS: dict[str, Callable[[Samples], Samples]] = {
    "none": lambda samples: samples,
    "u-law": lambda samples: g711.ulaw_decode(g711.ulaw_encode(samples)),
    "A-law": lambda samples: g711.alaw_decode(g711.alaw_encode(samples)),
}
EXACT = 80
"10 ms."


def hear(samples: Samples) -> list[tuple[str, int]]:
    """Keys that one leg's audio has, with the sample at which each begins."""
    detector = ToneDetector(1)
    padded = np.concatenate((samples, np.zeros(-len(samples) % BLOCK + 4 * BLOCK, np.int16)))
    return [
        (key, end + offset)
        for end in range(BLOCK, len(padded) + 1, BLOCK)
        for _slot, key, offset in detector.hear(np.array([0]), padded[None, end - BLOCK : end])
    ]


def signal(
    key: str,
    *,
    ms: float = 40,
    dbm0: float = -10,
    twist_db: float = 0,
    errors: tuple[float, float] = (0, 0),
    before: int = 400,
    noise_db: float | None = None,
    seed: int = 0,
) -> Samples:
    """
    One key after `before` samples of silence. `dbm0` is the louder tone's level.

    Args:
        key: Which.
        ms: How long.
        dbm0: Level.
        twist_db: Column less row.
        errors: Of the two frequencies, relative.
        before: Samples.
        noise_db: White noise below both tones together.
        seed: Of noise and phases.
    """
    rng = np.random.default_rng(seed)
    row, column = divmod(KEYS.index(key), 4)
    seconds = np.arange(round(ms * 8)) / 8000
    loud = FULL_SCALE * 10 ** ((dbm0 - FULL_SCALE_DBM0) / 20)
    low = loud * 10 ** (-max(twist_db, 0) / 20)
    high = loud * 10 ** (min(twist_db, 0) / 20)
    out = np.zeros(before + len(seconds) + 400)
    for amplitude, frequency, error in (
        (low, ROWS_HZ[row], errors[0]),
        (high, COLUMNS_HZ[column], errors[1]),
    ):
        phase = 2 * np.pi * rng.random()
        turns = 2 * np.pi * frequency * (1 + error) * seconds
        out[before : before + len(seconds)] += amplitude * np.sin(turns + phase)
    if noise_db is not None:
        power = (low**2 + high**2) / 2 * 10 ** (-noise_db / 10)
        out += rng.normal(size=len(out)) * np.sqrt(power)
    return np.clip(np.rint(out), -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("twist_db", [4, 0, -8])
@pytest.mark.parametrize("dbm0", [0, -3, -10, -20, -30])
@pytest.mark.parametrize("key", KEYS)
def test_every_key_at_every_level(key: str, dbm0: float, twist_db: float, law: str) -> None:
    """40 ms of any key, 0 to -30 dBm0, with twist and both laws, wherever it begins in a block."""
    for before in (400, 433, 479):
        samples = LAWS[law](signal(key, dbm0=dbm0, twist_db=twist_db, before=before))
        [(heard, start)] = hear(samples)
        assert heard == key
        assert abs(start - before) <= EXACT


@settings(max_examples=150, deadline=None)
@given(
    key=st.sampled_from(KEYS),
    dbm0=st.floats(-30, -3),
    twist_db=st.floats(-8, 4),
    errors=st.tuples(st.floats(-0.015, 0.015), st.floats(-0.015, 0.015)),
    before=st.integers(400, 480),
    seed=st.integers(0, 2**32 - 1),
)
def test_bad_frequencies_in_noise(
    key: str,
    dbm0: float,
    twist_db: float,
    errors: tuple[float, float],
    before: int,
    seed: int,
) -> None:
    """All at once: frequencies wrong by 1.5 %, twist, noise 15 dB below, 40 ms only."""
    samples = signal(
        key, dbm0=dbm0, twist_db=twist_db, errors=errors, before=before, noise_db=15, seed=seed
    )
    [(heard, start)] = hear(samples)
    assert heard == key
    assert abs(start - before) <= EXACT


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(KEYS), st.integers(320, 1600), st.integers(320, 2000)),
        max_size=12,
    )
)
def test_keys_in_a_row(keys: list[tuple[str, int, int]]) -> None:
    """Tones and pauses of 40 ms or more, each key once and at its place, also the same twice."""
    parts = [np.zeros(400, np.int16)]
    expected = []
    for key, length, pause in keys:
        expected.append((key, sum(map(len, parts))))
        parts += [dtmf_tone(key, length / 8), np.zeros(pause, np.int16)]
    heard = hear(g711.ulaw_decode(g711.ulaw_encode(np.concatenate(parts))))
    assert [key for key, _start in heard] == [key for key, _start in expected]
    for (_key, start), (_same, begun) in zip(heard, expected, strict=True):
        assert abs(start - begun) <= EXACT


@pytest.mark.parametrize("lost_at_ms", [0, 20, 40, 60, 80])
@pytest.mark.parametrize("key", "1D5#")
def test_a_lost_packet_does_not_double(key: str, lost_at_ms: int) -> None:
    """20 ms missing anywhere in 100 ms of tone, silence in its place: one key."""
    for before in range(480, 640, 16):
        samples = signal(key, ms=100, before=before)
        first = -(-before // 160) * 160 + lost_at_ms * 8
        samples[first : first + 160] = 0
        assert [heard for heard, _start in hear(samples)] == [key]


@pytest.mark.parametrize("key", KEYS)
def test_not_a_key(key: str) -> None:
    """Too short (20 ms), 4 % beside the frequency, twisted by 14 dB, or -40 dBm0: nothing."""
    assert hear(signal(key, ms=20)) == []
    for error in (-0.04, 0.04):
        assert hear(signal(key, ms=200, errors=(error, 0))) == []
        assert hear(signal(key, ms=200, errors=(0, error))) == []
    assert hear(signal(key, ms=200, twist_db=14)) == []
    assert hear(signal(key, ms=200, twist_db=-14)) == []
    assert hear(signal(key, ms=200, dbm0=-40)) == []


def test_single_and_ring_tones() -> None:
    """One frequency, wherever it lies, and the pairs that networks use, are no keys."""
    for frequency_hz in (*range(300, 3400, 25), *ROWS_HZ, *COLUMNS_HZ):
        assert hear(tone((frequency_hz,), 200, -10)) == []
    for pair in ((350, 440), (440, 480), (480, 620), (400, 450), (400, 425), (697, 852)):
        assert hear(tone(pair, 500, -12)) == []


def test_music() -> None:
    """Chords of several harmonics over four octaves, which have keys' frequencies among them."""
    rng = np.random.default_rng(5)
    seconds = np.arange(4000) / 8000
    parts = []
    for _chord in range(120):
        roots = 110 * 2 ** (rng.integers(0, 40, 3) / 12)
        wave = sum(
            np.sin(2 * np.pi * root * harmonic * seconds) / harmonic
            for root in roots
            for harmonic in range(1, 6)
            if root * harmonic < 3600
        )
        parts.append(wave * np.exp(-3 * seconds))
    music = np.concatenate(parts)
    assert hear(np.rint(music / np.abs(music).max() * 20000).astype(np.int16)) == []


def test_noise() -> None:
    """A minute of white noise has no key."""
    rng = np.random.default_rng(6)
    assert hear((rng.normal(size=60 * 8000) * 3000).astype(np.int16)) == []


def test_speech() -> None:
    """A woman and a man say a minute each without pressing a key."""
    engine = find_engine()
    if engine is None:
        pytest.skip("espeak-ng is not installed")
    text = (
        "Good afternoon. You have reached the office of the harbour master. All of our agents "
        "are with other callers. Please tell us who you are, where you are calling from, and "
        "what we can do for you; one of us will ring you as soon as we can. "
    )
    for gender in ("female", "male"):
        assert hear(speak(engine, text * 4, voice_name("en-US", gender))) == []
    engine.close()


def test_legs_do_not_mix() -> None:
    """Sixteen legs with a key each, heard in any order and some of them at a time."""
    rng = np.random.default_rng(7)
    audio = np.stack([signal(key, ms=80, before=400, seed=ord(key)) for key in KEYS])
    detector = ToneDetector(40)
    places = rng.permutation(40)[: len(KEYS)]
    heard = []
    for end in range(BLOCK, audio.shape[1] + 1, BLOCK):
        order = rng.permutation(len(KEYS))
        for half in (order[:5], order[5:]):
            heard += detector.hear(places[half], audio[half, end - BLOCK : end])
    assert {slot: key for slot, key, _offset in heard} == dict(zip(places, KEYS, strict=True))
    assert len(heard) == len(KEYS)


def test_reset() -> None:
    """A slot that another leg gets has forgotten the tone that was on."""
    detector = ToneDetector(1)
    samples = signal("7", ms=200, before=0)
    blocks = samples[: 10 * BLOCK].reshape(-1, 1, BLOCK)
    slots = np.array([0])
    first = [found for block in blocks for found in detector.hear(slots, block)]
    assert [key for _slot, key, _offset in first] == ["7"]
    detector.reset(0)
    again = [found for block in blocks for found in detector.hear(slots, block)]
    assert [key for _slot, key, _offset in again] == ["7"]


@pytest.mark.parametrize("key", KEYS)
def test_what_we_send(key: str) -> None:
    """Both frequencies at their level; the tone is heard by our own ear."""
    samples = dtmf_tone(key, 100)
    row, column = divmod(KEYS.index(key), 4)
    assert len(samples) == 800
    for frequency_hz in (ROWS_HZ[row], COLUMNS_HZ[column]):
        level = goertzel_level_dbfs(samples[50:-50], frequency_hz)
        assert level == pytest.approx(TONE_LEVEL_DBFS, abs=0.5)
    assert [heard for heard, _start in hear(samples)] == [key]


@pytest.mark.parametrize("key", ["", "E", "12", "a"])
def test_what_is_no_key(key: str) -> None:
    """Only the sixteen keys have tones."""
    with pytest.raises(ValueError, match="no such key"):
        dtmf_tone(key, 100)
