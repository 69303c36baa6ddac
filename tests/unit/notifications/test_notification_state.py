"""The notification's state table, cell by cell."""

from __future__ import annotations

import pytest

from voiceblocks.errors import IllegalTransition
from voiceblocks.notifications.state import (
    TRANSITIONS,
    NotificationEvent,
    NotificationState,
    advance,
    is_settled,
)

S = NotificationState
E = NotificationEvent

EXPECTED = {
    (S.PENDING, E.ANSWERED): S.DELIVERED,
    (S.PENDING, E.BLOCK_ACCEPTED): S.ACTED_ON,
    (S.PENDING, E.CALL_ENDED): S.SUPERSEDED,
    (S.PENDING, E.EXHAUSTED): S.GIVEN_UP,
    (S.PENDING, E.GONE): S.GIVEN_UP,
    (S.DELIVERED, E.RESENT): S.PENDING,
    (S.ACTED_ON, E.RESENT): S.PENDING,
    (S.SUPERSEDED, E.RESENT): S.PENDING,
    (S.GIVEN_UP, E.RESENT): S.PENDING,
}


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("event", E)
def test_every_cell(state: NotificationState, event: NotificationEvent) -> None:
    """Each state and event gives the documented state, or raises and names both."""
    following = EXPECTED.get((state, event))
    if following is None:
        with pytest.raises(IllegalTransition, match=f"{state} cannot be {event}"):
            advance(state, event)
    else:
        assert advance(state, event) is following


def test_every_state_has_a_row() -> None:
    """The table is complete, and all states but the first are settled."""
    assert set(TRANSITIONS) == set(S)
    assert [state for state in S if not is_settled(state)] == [S.PENDING]
