"""G.711 against the standard's rule and its known values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.audio import g711


def reference_ulaw(sample: int) -> int:
    """The compression rule of G.711 table 2a, one sample at a time."""
    magnitude = min((~sample if sample < 0 else sample) // 4 + 33, 0x1FFF)
    segment = magnitude.bit_length() - 6
    code = ~((segment << 4) | (magnitude >> (segment + 1)) & 15) & 0x7F
    return code if sample < 0 else code | 0x80


def reference_alaw(sample: int) -> int:
    """The compression rule of G.711 table 1a, one sample at a time."""
    magnitude = (~sample if sample < 0 else sample) // 16
    code, segment = magnitude, 1
    if magnitude > 15:
        while magnitude > 31:
            magnitude //= 2
            segment += 1
        code = magnitude - 16 + (segment << 4)
    return (code if sample < 0 else code | 0x80) ^ 0x55


ALL = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)


def test_every_sample_encodes_as_the_rule_says() -> None:
    """All 65536 samples get the code that the scalar rule gives, in both laws."""
    assert g711.ulaw_encode(ALL).tolist() == [reference_ulaw(int(s)) for s in ALL]
    assert g711.alaw_encode(ALL).tolist() == [reference_alaw(int(s)) for s in ALL]


@pytest.mark.parametrize(
    ("code", "sample"),
    [(0x00, -32124), (0x80, 32124), (0xFF, 0), (0x7F, 0), (0xFE, 8), (0x7E, -8), (0x8F, 16764)],
)
def test_ulaw_known_values(code: int, sample: int) -> None:
    """Published μ-law output values come out."""
    assert g711.ulaw_decode(np.array([code], np.uint8))[0] == sample


@pytest.mark.parametrize(
    ("code", "sample"),
    [(0xD5, 8), (0x55, -8), (0xAA, 32256), (0x2A, -32256), (0xD4, 24), (0xC5, 264), (0xF5, 528)],
)
def test_alaw_known_values(code: int, sample: int) -> None:
    """Published A-law output values come out."""
    assert g711.alaw_decode(np.array([code], np.uint8))[0] == sample


def test_codes_survive_decoding() -> None:
    """Every code decodes to a sample that encodes to it again; only μ-law's minus zero moves."""
    codes = np.arange(256).astype(np.uint8)
    ulaw = g711.ulaw_encode(g711.ulaw_decode(codes))
    assert [(int(a), int(b)) for a, b in zip(codes, ulaw, strict=True) if a != b] == [(0x7F, 0xFF)]
    assert (g711.alaw_encode(g711.alaw_decode(codes)) == codes).all()


def test_decoding_is_nearest() -> None:
    """No sample moves by more than half its segment's step (G.711 quantisation)."""
    for encode, decode, floor in (
        (g711.ulaw_encode, g711.ulaw_decode, 4),
        (g711.alaw_encode, g711.alaw_decode, 8),
    ):
        error = np.abs(decode(encode(ALL)).astype(int) - ALL)
        allowed = np.maximum(np.abs(ALL.astype(int)) // 31, floor) + 4
        clipped = np.abs(ALL.astype(int)) > 32100
        assert (error[~clipped] <= allowed[~clipped]).all()


def test_silence_is_the_quietest_code() -> None:
    """The silence bytes decode to the smallest positive value of each law."""
    assert g711.ulaw_decode(np.array([g711.SILENCE["PCMU"]], np.uint8))[0] == 0
    assert g711.alaw_decode(np.array([g711.SILENCE["PCMA"]], np.uint8))[0] == 8


@given(st.lists(st.integers(-32768, 32767), max_size=50))
def test_arrays_keep_their_shape(values: list[int]) -> None:
    """Any array, also an empty or strided one, gives one code a sample."""
    samples = np.array(values, np.int16)
    assert g711.ulaw_encode(samples).shape == samples.shape
    assert (g711.ulaw_encode(samples[::2]) == g711.ulaw_encode(samples)[::2]).all()
