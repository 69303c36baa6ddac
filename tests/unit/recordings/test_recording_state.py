"""Every cell of the recording table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.errors import IllegalTransition
from voiceblocks.recordings.state import (
    TRANSITIONS,
    UNFINISHED_STATES,
    RecordingEvent,
    RecordingState,
    advance,
)

PENDING, FINISHING, READY, FAILED, DELETED = RecordingState

# Columns in the order of the enumeration: audio complete, nothing recorded, stored,
# finishing failed, erased; None is illegal.
TABLE: dict[RecordingState, list[RecordingState | None]] = {
    PENDING: [FINISHING, FAILED, None, None, None],
    FINISHING: [None, None, READY, FAILED, None],
    READY: [None, None, None, None, DELETED],
    FAILED: [None, None, None, None, DELETED],
    DELETED: [None, None, None, None, None],
}
CELLS = [
    pytest.param(state, event, after, id=f"{state}-{event}")
    for state, row in TABLE.items()
    for event, after in zip(RecordingEvent, row, strict=True)
]


def test_every_state_has_a_row() -> None:
    """Neither the table nor this test forgets a state."""
    assert set(TRANSITIONS) == set(TABLE) == set(RecordingState)


@pytest.mark.parametrize(("state", "event", "after"), CELLS)
def test_cell(state: RecordingState, event: RecordingEvent, after: RecordingState | None) -> None:
    """A legal step gives its state, an illegal one raises."""
    if after is None:
        with pytest.raises(IllegalTransition, match=f"{state} knows no {event}"):
            advance(state, event)
    else:
        assert advance(state, event) is after


@given(st.lists(st.sampled_from(RecordingEvent)))
def test_interleavings(events: list[RecordingEvent]) -> None:
    """A recording is ready at most once, only after its audio was complete, never again later."""
    seen = [PENDING]
    for event in events:
        try:
            seen.append(advance(seen[-1], event))
        except IllegalTransition:
            continue
    assert len(seen) == len(set(seen))
    if READY in seen:
        assert seen[:3] == [PENDING, FINISHING, READY]


def test_recovery_looks_at_what_is_not_settled() -> None:
    """Unfinished are exactly the states that the engine or the encoder still has to leave."""
    settled = {READY, FAILED, DELETED}
    assert set(UNFINISHED_STATES) == set(RecordingState) - settled
    assert all(len(state) <= 12 for state in RecordingState)
