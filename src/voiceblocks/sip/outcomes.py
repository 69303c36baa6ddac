"""The one table of what a final response to our INVITE means, and whether the next trunk is asked.

The words are those of `voiceblocks.calls.events.Disposition`, as plain strings, since SIP lies
below the calls; a test compares both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voiceblocks.errors import ContractViolation


@dataclass(frozen=True, slots=True)
class SipOutcome:
    """How a call that we placed ended, in our own words."""

    disposition: str
    "A value of `Disposition`."

    try_next: bool
    "Whether another trunk, or another server of this one, may still reach the number."


_ANSWERED: Final = SipOutcome("answered", try_next=False)
_BUSY: Final = SipOutcome("busy", try_next=False)
_NO_ANSWER: Final = SipOutcome("no_answer", try_next=False)
_REJECTED: Final = SipOutcome("rejected", try_next=False)
_FAILED: Final = SipOutcome("failed", try_next=False)
_NEXT: Final = SipOutcome("failed", try_next=True)

_OF_STATUS: Final[dict[int, SipOutcome]] = {
    # The number is none: it is none by any other trunk.
    404: _FAILED,
    410: _FAILED,
    484: _FAILED,
    485: _FAILED,
    604: _FAILED,
    # The person called does not take calls of callers who withhold their number.
    433: _REJECTED,
    480: _NO_ANSWER,
    487: _NO_ANSWER,
    486: _BUSY,
    600: _BUSY,
    603: _REJECTED,
    607: _REJECTED,
    608: _REJECTED,
}

# What has no row of its own goes by its class (RFC 3261 8.1.3.2). 4xx and 5xx are this trunk's
# opinion (a refused password, media that it does not take, a server that is down), 3xx names other
# places, which are followed elsewhere, 6xx speaks for all trunks.
_OF_CLASS: Final[dict[int, SipOutcome]] = {2: _ANSWERED, 3: _FAILED, 4: _NEXT, 5: _NEXT, 6: _FAILED}

_GAVE_UP_WAITING: Final = frozenset({408, 504})
"Once it rang: the carrier, or a gateway of it, waited for the person called."


def outcome_of(status: int, *, rang: bool) -> SipOutcome:
    """
    Return what a final response means.

    Args:
        status: 200..699; 408 for silence and 503 for a lost connection, as `CallFailed` says.
        rang: Whether a phone rang before (180, or early media with 183). Then somebody noticed
            the call, and it is not tried anew by another way.

    Raises:
        ContractViolation: If the status is not a final one.
    """
    if not 200 <= status < 700:
        raise ContractViolation(f"{status} is no final status")
    if rang and status in _GAVE_UP_WAITING:
        return _NO_ANSWER
    outcome = _OF_STATUS.get(status) or _OF_CLASS[status // 100]
    return _FAILED if rang and outcome is _NEXT else outcome
