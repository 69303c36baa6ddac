"""The SIP core's words for an end become the domain's: each of them has one."""

from __future__ import annotations

import pytest

from voiceblocks.calls.cause import CallEndCause
from voiceblocks.engine.end_causes import cause_of, cause_of_failure
from voiceblocks.sip.events import CallFailed, EndCause, LegCancelled, LegEnded
from voiceblocks.sip.message import SipResponse


def test_every_end_of_a_leg_has_its_cause() -> None:
    """No end that the core can tell is without words, and a CANCEL is no BYE."""
    causes = {each: cause_of(LegEnded(1, each)) for each in EndCause}
    assert causes[EndCause.PEER_HUNG_UP] is CallEndCause.FAR_HUNG_UP
    assert causes[EndCause.SESSION_EXPIRED] is CallEndCause.SESSION_EXPIRED
    assert cause_of(LegCancelled(1)) is CallEndCause.FAR_CANCELLED


@pytest.mark.parametrize(
    ("leg", "status", "answered", "cause", "told"),
    [
        (1, 486, True, CallEndCause.REFUSED, 486),
        (1, 408, False, CallEndCause.FAR_GONE, None),
        (1, 503, False, CallEndCause.TRANSPORT_LOST, None),
        (1, 488, False, CallEndCause.NO_COMMON_AUDIO, None),
        (0, 503, False, CallEndCause.NO_MEDIA, None),
    ],
)
def test_a_status_of_our_own_is_not_the_far_ends(
    leg: int, status: int, answered: bool, cause: CallEndCause, told: int | None
) -> None:
    """Only what the far end sent is told as its answer."""
    response = SipResponse(status, "") if answered else None
    assert cause_of_failure(CallFailed(leg, status, "", response)) == (cause, told)
