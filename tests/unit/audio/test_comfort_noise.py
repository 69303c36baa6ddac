"""Comfort noise payloads and the noise itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.audio.comfort_noise import comfort_noise, parse_comfort_noise
from voiceblocks.audio.level import rms_dbfs
from voiceblocks.errors import RemoteRtpError


def test_level_and_spectrum_are_read() -> None:
    """The first byte is the level, its first bit ignored; the rest are coefficients."""
    assert parse_comfort_noise(b"\x40").level_dbov == -64
    noise = parse_comfort_noise(b"\xc0\x7f\x00\xfe")
    assert noise.level_dbov == -64
    assert noise.reflection == pytest.approx((0.0, -1.0, 1.0), abs=0.001)


@given(st.binary(max_size=300))
def test_any_payload_gives_a_value_or_the_documented_error(payload: bytes) -> None:
    """Empty and overlong payloads are RemoteRtpError, all others have a level."""
    try:
        noise = parse_comfort_noise(payload)
    except RemoteRtpError:
        assert not 1 <= len(payload) <= 256
    else:
        assert -127 <= noise.level_dbov <= 0


@pytest.mark.parametrize("level_dbov", [-20, -50, -64])
def test_noise_has_its_level(level_dbov: int) -> None:
    """A second of noise measures its dBov, which are 3 dB less than dBFS."""
    noise = comfort_noise(level_dbov, 8000, np.random.default_rng(1))
    assert noise.dtype == np.int16
    assert rms_dbfs(noise) == pytest.approx(level_dbov + 3, abs=0.5)


def test_extremes() -> None:
    """The loudest is clipped, not wrapped; the softest is silence; none is none."""
    random = np.random.default_rng(1)
    assert np.abs(comfort_noise(0, 8000, random).astype(int)).max() >= 32767
    assert not comfort_noise(-127, 800, random).any()
    assert len(comfort_noise(-50, 0, random)) == 0
