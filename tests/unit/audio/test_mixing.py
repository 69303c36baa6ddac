"""Tables of both laws, and sums that are too loud."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.audio import g711
from voiceblocks.audio.mixing import LAWS, decode, encode

ENCODERS = (g711.ulaw_encode, g711.alaw_encode)


@given(
    laws=st.lists(st.integers(0, len(LAWS) - 1), min_size=1, max_size=5),
    seed=st.integers(0, 2**32 - 1),
    n_legs=st.integers(1, 40),
)
def test_sums_of_mixed_laws_are_clipped_and_encoded_in_each_law(
    laws: list[int], seed: int, n_legs: int
):
    """As the codecs would do one by one, at any loudness."""
    chance = np.random.default_rng(seed)
    sums = chance.integers(-32768, 32768, (n_legs, len(laws), 80)).sum(axis=0).astype(np.int32)
    codes = encode(np.array(laws), sums)
    for law, row, code in zip(laws, sums, codes, strict=True):
        clipped = np.clip(row, -32768, 32767).astype(np.int16)
        assert np.array_equal(code, ENCODERS[law](clipped))


def test_every_code_of_both_laws_comes_back():
    """What was decoded encodes to itself (μ-law has two zeros)."""
    codes = np.tile(np.arange(256, dtype=np.uint8), (2, 1))
    laws = np.array([0, 1])
    again = encode(laws, decode(laws, codes).astype(np.int32))
    assert np.nonzero(again != codes)[1].tolist() == [0x7F]
