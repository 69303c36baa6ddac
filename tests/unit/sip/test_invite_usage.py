"""The table of the leg, cell by cell."""

from __future__ import annotations

import pytest

from tests.unit.sip.peers import FLOW
from voiceblocks.errors import LocalSipError
from voiceblocks.sip.invite_usage import LEG, LOCAL_EVENTS, Leg, LegEvent, LegState
from voiceblocks.sip.message import SipRequest

CELLS = """
INCOMING ANSWER ANSWERED
INCOMING REFUSE ENDED
INCOMING HANG_UP ENDED
INCOMING CANCELLED ENDED
INCOMING PEER_HUNG_UP ENDED
INCOMING LOST ENDED
ANSWERED ACKNOWLEDGED CONFIRMED
ANSWERED HANG_UP ENDING
ANSWERED PEER_HUNG_UP ENDED
ANSWERED LOST ENDED
CALLING PROVISIONAL PROCEEDING
CALLING ACCEPTED CONFIRMED
CALLING REJECTED ENDED
CALLING HANG_UP CANCELLING
CALLING LOST ENDED
PROCEEDING PROVISIONAL PROCEEDING
PROCEEDING ACCEPTED CONFIRMED
PROCEEDING REJECTED ENDED
PROCEEDING HANG_UP CANCELLING
PROCEEDING LOST ENDED
CANCELLING PROVISIONAL CANCELLING
CANCELLING ACCEPTED ENDING
CANCELLING REJECTED ENDED
CANCELLING HANG_UP CANCELLING
CANCELLING LOST ENDED
CONFIRMED ACKNOWLEDGED CONFIRMED
CONFIRMED ACCEPTED CONFIRMED
CONFIRMED HANG_UP ENDING
CONFIRMED PEER_HUNG_UP ENDED
CONFIRMED LOST ENDED
ENDING ACKNOWLEDGED ENDING
ENDING ACCEPTED ENDING
ENDING HANG_UP ENDING
ENDING PEER_HUNG_UP ENDED
ENDING LOST ENDED
"""
WANTED = {(s, e): t for s, e, t in (line.split() for line in CELLS.strip().splitlines())}


@pytest.mark.parametrize("state", LegState)
@pytest.mark.parametrize("event", LegEvent)
def test_every_cell(state: LegState, event: LegEvent) -> None:
    """What is in the table steps, what is not is absorbed, or raises if it was our command."""
    leg = Leg(1, state, FLOW, SipRequest("INVITE", "sip:a@b"))
    target = WANTED.get((state.name, event.name))
    if target is not None:
        assert leg.advance(event)
        assert leg.state is LegState[target]
    elif event in LOCAL_EVENTS:
        with pytest.raises(LocalSipError):
            leg.advance(event)
        assert leg.state is state
    else:
        assert not leg.advance(event)
        assert leg.state is state


def test_every_state_has_a_row_and_can_end() -> None:
    """All states but the last know how to be lost."""
    assert set(LEG) == set(LegState)
    assert all(LegEvent.LOST in row for state, row in LEG.items() if state is not LegState.ENDED)
