"""Why a call ended: each case has a sentence that fits it."""

from __future__ import annotations

import itertools

import pytest

from voiceblocks.calls.events import Disposition, EndReason
from voiceblocks.calls.why import LastBlock, why_it_ended


def last(
    block: str, reason: EndReason | None, *, ended: bool = True, told: bool = True
) -> LastBlock:
    """The last block of a call."""
    return LastBlock(block, reason, ended_with_it=ended, was_told=told)


@pytest.mark.parametrize(
    ("disposition", "block", "incoming", "words"),
    [
        (None, None, True, "still going on"),
        ("no_answer", None, True, "the application sent no block in time"),
        ("no_answer", last("dial", EndReason.COMPLETED), False, "nobody picked up"),
        ("cancelled", None, True, "the caller gave up"),
        ("busy", last("dial", EndReason.COMPLETED), False, "busy"),
        ("rejected", last("hangup", EndReason.COMPLETED), True, "hung up while it rang"),
        ("answered", last("record", EndReason.HANGUP), True, "other side hung up during record"),
        ("answered", last("record", EndReason.FORCED), True, "forced a hang-up during record"),
        ("answered", last("play", EndReason.SERVER_RESTART), True, "stopped or restarted"),
        ("answered", last("hangup", EndReason.COMPLETED), True, "application hung up"),
        ("answered", last("transfer", EndReason.COMPLETED), True, "transferred"),
        (
            "answered",
            last("play", EndReason.COMPLETED, ended=False),
            True,
            "no next block within the idle time",
        ),
        (
            "answered",
            last("gather", EndReason.COMPLETED, ended=False, told=False),
            True,
            "did not take the notification of gather",
        ),
        (
            "answered",
            last("record", EndReason.MAX_DURATION, ended=False),
            True,
            "After record",
        ),
    ],
)
def test_the_sentence_fits(
    disposition: str | None, block: LastBlock | None, incoming: bool, words: str
) -> None:
    """What a person reads first names the cause."""
    assert words in why_it_ended(disposition, block, incoming=incoming)


def test_every_combination_has_a_sentence() -> None:
    """No pair of outcome and last block is without words."""
    reasons: list[EndReason | None] = [None, *EndReason]
    blocks = ["play", "record", "hangup", "transfer", "call", "conference"]
    for how, reason, block, ended, told, incoming in itertools.product(
        Disposition, reasons, blocks, (True, False), (True, False), (True, False)
    ):
        said = why_it_ended(how, last(block, reason, ended=ended, told=told), incoming=incoming)
        assert said.endswith(".")
        assert "{" not in said
