"""How a far end was reached, in the documented words: one table."""

from __future__ import annotations

import pytest

from voiceblocks.calls.events import Disposition
from voiceblocks.notifications.words import (
    STATUS_WORDS,
    reached_parameters,
    status_word,
)

TABLE = {
    Disposition.ANSWERED: "answered",
    Disposition.BUSY: "busy",
    Disposition.REJECTED: "busy",
    Disposition.NO_ANSWER: "unanswered",
    Disposition.CANCELLED: "unanswered",
    Disposition.FAILED: "failed",
}


def test_every_disposition_has_its_word() -> None:
    """No end of a call is without a word, and nothing else has one."""
    assert {disposition.value: word for disposition, word in TABLE.items()} == STATUS_WORDS
    assert set(TABLE) == set(Disposition)


@pytest.mark.parametrize(("disposition", "word"), TABLE.items())
def test_dial_and_transfer(disposition: Disposition, word: str) -> None:
    """The documented word, and ours beside it; other blocks reach nobody."""
    value = disposition.value
    assert status_word(value) == word
    assert reached_parameters("dial", value) == [("dial_status", word), ("dial_cause", value)]
    assert reached_parameters("transfer", value) == [
        ("transfer_status", word),
        ("transfer_cause", value),
    ]
    assert reached_parameters("play", value) == []


def test_what_has_not_ended_is_ongoing() -> None:
    """As the original's clients know it."""
    assert status_word(None) == "ongoing"
