"""Identifiers: their shape, and that each character is as likely as any other."""

from __future__ import annotations

import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks import ids


@given(st.integers(0, 100), st.text("abcdefghij", min_size=1, max_size=200))
def test_as_long_as_asked_and_of_nothing_else(length: int, alphabet: str) -> None:
    """Any length of any alphabet is given, with the alphabet's characters alone."""
    text = ids.random_text(length, alphabet)
    assert len(text) == length
    assert set(text) <= set(alphabet)


@pytest.mark.parametrize(
    "alphabet", [string.ascii_lowercase + string.digits, string.ascii_letters + string.digits]
)
def test_each_character_is_as_likely(alphabet: str) -> None:
    """In 200,000 characters none is rarer or more frequent than six standard deviations allow."""
    n = 200_000
    counts = Counter(ids.random_text(n, alphabet))
    expected = n / len(alphabet)
    for character in alphabet:
        assert abs(counts[character] - expected) < 6 * expected**0.5, character
