"""The one table from the outcome of our INVITE to what it means for a call.

The words are those of `voiceblocks.calls.events.Disposition`, as plain strings, since SIP lies
below the calls; a test compares both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class SipOutcome:
    """What became of one INVITE."""

    disposition: str
    "`answered`, `busy`, `no_answer`, `rejected`, `cancelled` or `failed`."
    try_next: bool
    "Whether another address or trunk may do better; never once the far end has rung."


_BUSY = SipOutcome("busy", try_next=False)
_NO_ANSWER = SipOutcome("no_answer", try_next=False)
_REJECTED = SipOutcome("rejected", try_next=False)
_NO_SUCH_NUMBER = SipOutcome("failed", try_next=False)
_NOT_THIS_WAY = SipOutcome("failed", try_next=True)

OUTCOMES: Mapping[int, SipOutcome] = MappingProxyType(
    {
        # The far end was asked, and this is its word.
        480: _NO_ANSWER,
        486: _BUSY,
        487: _NO_ANSWER,
        600: _BUSY,
        603: _REJECTED,
        607: _REJECTED,
        608: _REJECTED,
        # The number is the problem: no other trunk will reach it.
        404: _NO_SUCH_NUMBER,
        410: _NO_SUCH_NUMBER,
        416: _NO_SUCH_NUMBER,
        484: _NO_SUCH_NUMBER,
        485: _NO_SUCH_NUMBER,
        604: _NO_SUCH_NUMBER,
    }
)
"What is not listed is the trunk's problem: a failure, and the next may be tried."

_RANG_UNANSWERED = frozenset({408, 504})
"Once it has rung: the carrier gave up waiting."


def outcome_of(status: int, *, rang: bool) -> SipOutcome:
    """
    What a final response to our INVITE means.

    Args:
        status: 300 to 699; 408 also for silence, 503 for a lost connection.
        rang: Whether a 18x had come before.
    """
    if 200 <= status < 300:
        return SipOutcome("answered", try_next=False)
    if rang and status in _RANG_UNANSWERED:
        return _NO_ANSWER
    outcome = OUTCOMES.get(status, _NOT_THIS_WAY)
    return SipOutcome(outcome.disposition, outcome.try_next and not rang)
