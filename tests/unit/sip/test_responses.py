"""Decision 10 as a table."""

from __future__ import annotations

import pytest

from voiceblocks.calls.events import Refusal
from voiceblocks.sip.responses import REFUSALS


@pytest.mark.parametrize(
    ("refusal", "status", "headers"),
    [
        (Refusal.UNKNOWN_NUMBER, 404, ()),
        (Refusal.NO_APPLICATION, 480, ()),
        (Refusal.ACCOUNT_BUSY, 486, ()),
        (Refusal.NODE_FULL, 503, (("Retry-After", "10"),)),
        (Refusal.NO_CREDIT, 603, ()),
        (Refusal.HUNG_UP, 603, ()),
    ],
)
def test_each_refusal(refusal: Refusal, status: int, headers: tuple[tuple[str, str], ...]) -> None:
    """The status and header lines of each."""
    assert (REFUSALS[refusal].status, REFUSALS[refusal].headers) == (status, headers)


def test_table_is_complete() -> None:
    """Every refusal of the calls has its answer, and no other."""
    assert set(REFUSALS) == {refusal.value for refusal in Refusal}
