"""What final responses to our INVITE mean."""

from __future__ import annotations

import pytest

from voiceblocks.calls.events import Disposition
from voiceblocks.errors import ContractViolation
from voiceblocks.sip.outcomes import SipOutcome, outcome_of
from voiceblocks.sip.reasons import REASONS

BUSY = {486, 600}
NO_ANSWER = {480, 487}
REJECTED = {433, 603, 607, 608}
NO_SUCH_NUMBER = {404, 410, 484, 485, 604}


def expected(status: int, *, rang: bool) -> tuple[str, bool]:
    """The rules in other words than those of the table."""
    if status < 300:
        return "answered", False
    if status in BUSY:
        return "busy", False
    if status in NO_ANSWER or (status in (408, 504) and rang):
        return "no_answer", False
    if status in REJECTED:
        return "rejected", False
    final = rang or status < 400 or status >= 600 or status in NO_SUCH_NUMBER
    return "failed", not final


@pytest.mark.parametrize("rang", [False, True])
@pytest.mark.parametrize("status", [status for status in REASONS if status >= 200])
def test_each_status(status: int, rang: bool) -> None:
    """Every registered final status, before and after a phone rang."""
    outcome = outcome_of(status, rang=rang)
    assert (outcome.disposition, outcome.try_next) == expected(status, rang=rang)
    assert outcome.disposition in set(Disposition)


@pytest.mark.parametrize("rang", [False, True])
@pytest.mark.parametrize("status", range(200, 700))
def test_any_status(status: int, rang: bool) -> None:
    """An unknown status goes by its class; after ringing no other trunk is asked."""
    outcome = outcome_of(status, rang=rang)
    if status not in REASONS:
        assert outcome == outcome_of(status // 100 * 100 if status < 600 else 606, rang=rang)
    assert not (rang and outcome.try_next)


def test_examples() -> None:
    """The ones that matter most, in plain sight."""
    assert outcome_of(503, rang=False) == SipOutcome("failed", try_next=True)
    assert outcome_of(408, rang=False) == SipOutcome("failed", try_next=True)
    assert outcome_of(408, rang=True) == SipOutcome("no_answer", try_next=False)
    assert outcome_of(404, rang=False) == SipOutcome("failed", try_next=False)
    assert outcome_of(403, rang=False) == SipOutcome("failed", try_next=True)


@pytest.mark.parametrize("status", [0, 100, 183, 199, 700])
def test_only_final_statuses(status: int) -> None:
    """A provisional response decides nothing."""
    with pytest.raises(ContractViolation):
        outcome_of(status, rang=False)
