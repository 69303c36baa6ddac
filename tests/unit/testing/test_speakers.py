"""Voices in a mixture: who is heard, when, how loud."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from voiceblocks.audio.g711 import alaw_decode, alaw_encode, ulaw_decode, ulaw_encode
from voiceblocks.audio.tones import beep
from voiceblocks.testing.speakers import (
    LEVEL_DBFS,
    SPEAKERS,
    frequencies_of,
    levels,
    voice,
    who_is_heard,
)


def mixture(length_ms: int, *voices: tuple[int, int, NDArray[np.int16]]) -> NDArray[np.int16]:
    """Voices at their places, added and sent through G.711: (speaker, from_ms, samples)."""
    total = np.zeros(length_ms * 8, np.int64)
    for _speaker, from_ms, samples in voices:
        heard = alaw_decode(alaw_encode(samples))
        total[from_ms * 8 : from_ms * 8 + len(samples)] += heard
    return ulaw_decode(ulaw_encode(np.clip(total, -32768, 32767).astype(np.int16)))


def test_everybody_at_once_is_told_apart() -> None:
    """Sixteen voices at once, begun at different times, are all heard at their level."""
    voices = [(one, 50 * one, voice(one, 3000)) for one in range(SPEAKERS)]
    heard = levels(mixture(4000, *voices), 1000, 3000)
    assert set(heard) == set(range(SPEAKERS))
    assert max(abs(level - LEVEL_DBFS) for level in heard.values()) < 1.0


@pytest.mark.parametrize("silent", range(SPEAKERS))
def test_who_is_silent_is_not_heard(silent: int) -> None:
    """Of sixteen the one that says nothing is missing: no echo is invented by its neighbours."""
    voices = [(one, 50 * one, voice(one, 3000)) for one in range(SPEAKERS) if one != silent]
    assert silent not in {passage.speaker for passage in who_is_heard(mixture(4000, *voices))}


def test_an_echo_20_db_below_is_heard() -> None:
    """A soft echo of oneself in the voices of others is found, with its level."""
    voices = [(one, 50 * one, voice(one, 2000)) for one in range(1, 6)]
    echo = (0, 1000, voice(0, 500, LEVEL_DBFS - 20))
    passages = who_is_heard(mixture(3000, *voices, echo), speakers=[0])
    assert [passage.speaker for passage in passages] == [0]
    assert passages[0].level_dbfs == pytest.approx(LEVEL_DBFS - 20, abs=1.5)


def test_from_when_to_when() -> None:
    """Beginning and end of a passage lie within 10 ms, whoever else speaks."""
    heard = who_is_heard(
        mixture(
            5000,
            (3, 500, voice(3, 2000)),
            (4, 1000, voice(4, 2000, -36)),
            (3, 3500, voice(3, 1000)),
        )
    )
    assert [passage.speaker for passage in heard] == [3, 4, 3]
    expected = [(500, 2500, -26), (1000, 3000, -36), (3500, 4500, -26)]
    for passage, (from_ms, to_ms, level) in zip(heard, expected, strict=True):
        assert passage.from_ms == pytest.approx(from_ms, abs=10)
        assert passage.to_ms == pytest.approx(to_ms, abs=10)
        assert passage.level_dbfs == pytest.approx(level, abs=0.5)


def test_a_lost_packet_does_not_end_a_passage() -> None:
    """20 ms of silence are bridged, 300 ms are not."""
    samples = mixture(3000, (5, 0, voice(5, 3000)))
    samples[8 * 1000 : 8 * 1020] = 0
    assert len(who_is_heard(samples)) == 1
    samples[8 * 2000 : 8 * 2300] = 0
    first, second = who_is_heard(samples)
    assert (first.to_ms, second.from_ms) == pytest.approx((2000, 2300), abs=10)


def test_other_sounds_are_nobody() -> None:
    """Silence, the beep and soft noise are no speaker."""
    rng = np.random.default_rng(7)
    noise = rng.normal(0, 200, 16000).astype(np.int16)
    for sound in (np.zeros(0, np.int16), np.zeros(8000, np.int16), beep(), noise):
        assert who_is_heard(sound) == []


def test_a_voice_may_be_repeated() -> None:
    """A second of a voice repeated is the voice without a click; there is no seventeenth."""
    once = voice(7, 1000)
    assert np.abs(np.tile(once, 3).astype(int) - voice(7, 3000)).max() <= 1
    with pytest.raises(ValueError, match="speakers 0 to 15"):
        frequencies_of(SPEAKERS)
