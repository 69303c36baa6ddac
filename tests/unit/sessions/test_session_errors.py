"""Refusals are told apart by their class."""

from __future__ import annotations

import pytest

from voiceblocks.errors import IllegalTransition, RequestRefused
from voiceblocks.sessions.errors import (
    SessionAccessDenied,
    SessionEnded,
    SessionNotOnHold,
    SessionNotReady,
    UnknownSession,
)


@pytest.mark.parametrize(
    "refusal",
    [SessionAccessDenied, SessionEnded, SessionNotOnHold, SessionNotReady, UnknownSession],
)
def test_refusals_are_requests_refused(refusal: type[Exception]) -> None:
    """The API maps each on its own; none is an internal illegal transition."""
    assert issubclass(refusal, RequestRefused)
    assert not issubclass(refusal, IllegalTransition)
