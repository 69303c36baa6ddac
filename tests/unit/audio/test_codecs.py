"""The codec table."""

from __future__ import annotations

import numpy as np
import pytest

from voiceblocks.audio.codecs import CODECS, Codec, codec_for_payload_type, codec_named


def test_table_is_consistent() -> None:
    """Names and payload types are unique, and the table is in order of priority."""
    assert len({c.name for c in CODECS}) == len({c.payload_type for c in CODECS}) == len(CODECS)
    assert [c.priority for c in CODECS] == sorted(c.priority for c in CODECS)


@pytest.mark.parametrize("codec", CODECS, ids=lambda c: c.name)
def test_round_trip_keeps_a_tone(codec: Codec) -> None:
    """A tone comes back with 30 dB less noise than signal, and silence is silent."""
    tone = (8000 * np.sin(np.arange(800) * 0.7)).astype(np.int16)
    error = codec.decode(codec.encode(tone)).astype(float) - tone
    assert np.sum(tone.astype(float) ** 2) > 1000 * np.sum(error**2)
    assert abs(int(codec.decode(np.array([codec.silence_byte], np.uint8))[0])) <= 8


def test_look_ups() -> None:
    """Codecs are found by name in any case and by payload type."""
    assert codec_named("pcma").payload_type == 8
    pcmu = codec_for_payload_type(0)
    assert pcmu is not None
    assert pcmu.name == "PCMU"
    assert codec_for_payload_type(18) is None
    with pytest.raises(KeyError):
        codec_named("G729")
