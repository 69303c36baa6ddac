"""Why a call ended: each case has a sentence that fits it."""

from __future__ import annotations

import itertools

import pytest

from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import Disposition, EndReason
from voiceblocks.calls.why import CallEnd, LastBlock, why_it_ended


def last(
    block: str,
    reason: EndReason | None,
    *,
    ended: bool = True,
    told: bool = True,
    final: bool = False,
) -> LastBlock:
    """The last block of a call."""
    return LastBlock(block, reason, ended_with_it=ended, was_told=told, is_last=final)


def test_a_call_that_is_up_is_still_going_on() -> None:
    """Nobody is told of an end that has not come."""
    assert "still going on" in why_it_ended(None)


@pytest.mark.parametrize(
    ("disposition", "block", "incoming", "words"),
    [
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
        ("answered", last("record", EndReason.MAX_DURATION, ended=False), True, "After record"),
    ],
)
def test_a_call_without_a_cause_is_guessed_at(
    disposition: str, block: LastBlock | None, incoming: bool, words: str
) -> None:
    """Of calls that ended before causes were noted, the sentence says what their blocks tell."""
    end = CallEnd(Disposition(disposition), incoming, last=block)
    assert words in why_it_ended(end)


_RECORD = last("record", EndReason.HANGUP)
_PLAYED = last("play", EndReason.COMPLETED, ended=False)


@pytest.mark.parametrize(
    ("cause", "disposition", "incoming", "block", "status", "words"),
    [
        ("far_hung_up", "answered", True, _RECORD, None, "The caller hung up during record."),
        ("far_hung_up", "answered", False, _PLAYED, None, "The far end hung up after play."),
        ("far_cancelled", "cancelled", True, None, None, "the caller gave up while it rang"),
        ("other_hung_up", "answered", True, None, None, "connected with hung up"),
        ("other_lost", "answered", True, None, None, "was lost"),
        (
            "application",
            "answered",
            True,
            last("hangup", EndReason.COMPLETED),
            None,
            "The application hung up.",
        ),
        (
            "application",
            "answered",
            True,
            last("play", EndReason.COMPLETED, final=True),
            None,
            "let the call end after play: it named no notify_url",
        ),
        ("application", "rejected", True, None, None, "application hung up while it rang"),
        ("forced", "answered", True, _RECORD, None, "forced a hang-up during record"),
        ("removed", "answered", False, None, None, "put out of the conference room"),
        ("no_block", "answered", True, _PLAYED, None, "sent no block after play within"),
        (
            "no_block",
            "answered",
            True,
            last("play", EndReason.COMPLETED, ended=False, told=False),
            None,
            "did not take the notification of play",
        ),
        ("no_block", "no_answer", True, None, None, "the application sent no block in time"),
        ("max_duration", "answered", False, _PLAYED, None, "longest time that was set"),
        ("max_call", "answered", True, _PLAYED, None, "VOICEBLOCKS_MAX_CALL_S"),
        ("credit_used_up", "answered", True, _RECORD, None, "credit was used up during record"),
        ("refused", "busy", False, None, 486, "the far end was busy (SIP 486)"),
        ("refused", "rejected", False, None, 603, "the far end refused it (SIP 603)"),
        ("refused", "failed", False, None, 404, "could not be connected (SIP 404)"),
        ("nobody_picked_up", "no_answer", False, None, None, "answered: nobody picked up within"),
        ("no_trunk", "failed", False, None, None, "answered: no trunk could be asked"),
        ("not_connected", "answered", False, None, None, "was not reached"),
        ("no_ack", "answered", True, None, None, "no ACK"),
        ("far_gone", "answered", True, _PLAYED, None, "did not answer SIP any more after play"),
        ("session_expired", "answered", True, None, None, "session timer ran out"),
        ("transport_lost", "answered", True, None, None, "connection that carried its SIP"),
        ("no_common_audio", "failed", True, None, None, "answered: the caller sent no SDP"),
        ("no_media", "failed", True, None, None, "answered: no media worker had room"),
        ("media_lost", "answered", True, _RECORD, None, "worker that carried its audio died"),
        ("node_full", "failed", False, None, None, "answered: this server was full"),
        ("server_stopped", "answered", True, _RECORD, None, "server was stopped during record"),
        ("server_died", "answered", True, _RECORD, None, "process died during record"),
        ("fault", "answered", True, _RECORD, None, "fault in this server"),
    ],
)
def test_each_cause_has_its_sentence(
    cause: str,
    disposition: str,
    incoming: bool,
    block: LastBlock | None,
    status: int | None,
    words: str,
) -> None:
    """What was noted is said, and nothing is guessed."""
    end = CallEnd(Disposition(disposition), incoming, CallEndCause(cause), status, block)
    assert words in why_it_ended(end)


def test_every_combination_has_a_sentence() -> None:
    """No cause, outcome and last block together are without words."""
    reasons: list[EndReason | None] = [None, *EndReason]
    blocks = ["play", "hangup", "transfer", "call", "conference"]
    yes_no = (True, False)
    for how, reason, block, ended, told, incoming in itertools.product(
        Disposition, reasons, blocks, yes_no, yes_no, yes_no
    ):
        last_block = last(block, reason, ended=ended, told=told)
        for cause in (None, *CallEndCause):
            said = why_it_ended(CallEnd(how, incoming, cause, 500, last_block))
            assert said.endswith(".")
            assert "{" not in said
