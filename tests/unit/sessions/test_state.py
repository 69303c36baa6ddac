"""Every cell of the session table, and what sequences of events can never do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.errors import ContractViolation, IllegalTransition, RequestRefused
from voiceblocks.sessions.errors import SessionEnded, SessionNotOnHold, SessionNotReady
from voiceblocks.sessions.state import (
    LIVE_STATES,
    TRANSITIONS,
    SessionEvent,
    SessionState,
    advance,
    refusal_for,
    render_diagram,
)

RINGING, EXECUTING, WAITING, ON_HOLD, ENDING, ENDED = SessionState
BLOCK, END_BLOCK, HOLD, UNHOLD, FINISHED, FORCED, CALL_ENDED = SessionEvent

ILLEGAL, NOT_READY, NOT_HELD, OVER = (
    IllegalTransition,
    SessionNotReady,
    SessionNotOnHold,
    SessionEnded,
)

# Rows and columns in the order of the enumerations; a class is the refusal.
TABLE: dict[SessionState, list[SessionState | type[RequestRefused]]] = {
    RINGING: [EXECUTING, ENDING, ON_HOLD, NOT_HELD, ILLEGAL, ENDING, ENDED],
    EXECUTING: [NOT_READY, NOT_READY, NOT_READY, NOT_HELD, WAITING, ENDING, ENDED],
    WAITING: [EXECUTING, ENDING, ON_HOLD, NOT_HELD, ILLEGAL, ENDING, ENDED],
    ON_HOLD: [NOT_READY, NOT_READY, NOT_READY, EXECUTING, ILLEGAL, ENDING, ENDED],
    ENDING: [OVER, OVER, OVER, OVER, ENDING, ENDING, ENDED],
    ENDED: [OVER, OVER, OVER, OVER, ILLEGAL, OVER, ILLEGAL],
}
CELLS = [
    pytest.param(state, event, cell, id=f"{state}-{event}")
    for state, row in TABLE.items()
    for event, cell in zip(SessionEvent, row, strict=True)
]


def test_every_state_has_a_row() -> None:
    """Neither the table nor this test forgets a state."""
    assert set(TRANSITIONS) == set(TABLE) == set(SessionState)


@pytest.mark.parametrize(("state", "event", "cell"), CELLS)
def test_cell(
    state: SessionState, event: SessionEvent, cell: SessionState | type[RequestRefused]
) -> None:
    """A legal step gives its state; an illegal one raises and names its refusal."""
    if isinstance(cell, SessionState):
        assert advance(state, event) is cell
        with pytest.raises(ContractViolation):
            refusal_for(state, event)
    else:
        with pytest.raises(IllegalTransition, match=f"{state} knows no {event}"):
            advance(state, event)
        assert refusal_for(state, event) is cell


@given(st.lists(st.sampled_from(SessionEvent)))
def test_interleavings(events: list[SessionEvent]) -> None:
    """
    Whatever comes in whatever order, a session never opens again once it is on its way out.

    Illegal events change nothing; every live state can still end; after the end nothing
    is legal; between two accepted blocks the first one finishes; only an unhold ends a hold
    without ending the call.
    """
    state = RINGING
    is_running = False
    for event in events:
        try:
            after = advance(state, event)
        except IllegalTransition:
            continue
        assert state is not ENDED
        if state is ENDING:
            assert after in (ENDING, ENDED)
        if event in (BLOCK, END_BLOCK, HOLD):
            assert not is_running
        if state is ON_HOLD:
            assert (after is EXECUTING) == (event is UNHOLD)
            assert after in (EXECUTING, ENDING, ENDED)
        if after is EXECUTING:
            is_running = True
        elif event is FINISHED:
            is_running = False
        state = after
    assert (state in LIVE_STATES) == (CALL_ENDED in TRANSITIONS[state])


def test_stored_values_fit_their_column() -> None:
    """The values are lower case and at most 12 characters, as the column is."""
    assert all(state.value == state.name.lower() and len(state) <= 12 for state in SessionState)


def test_page_holds_the_current_diagram() -> None:
    """docs/sessions.md shows the table as it is."""
    page = Path(__file__).parents[3] / "docs" / "sessions.md"
    assert f"```mermaid\n{render_diagram()}```" in page.read_text()
