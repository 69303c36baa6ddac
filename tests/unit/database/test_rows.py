"""Between rows and values."""

from __future__ import annotations

from dataclasses import dataclass

from tests.unit.database.nouns import a_session
from voiceblocks.database.rows import columns_of, plain
from voiceblocks.sessions.state import SessionState


@dataclass(frozen=True, slots=True)
class _Pair:
    state: SessionState
    text: str | None


def test_enumerations_are_stored_by_value() -> None:
    """Drivers get plain text, whatever they would make of an enumeration."""
    columns = columns_of(_Pair(SessionState.ENDED, None))
    assert columns == {"state": "ended", "text": None}
    assert type(columns["state"]) is str
    assert type(plain({"state": SessionState.RINGING})["state"]) is str


def test_columns_of_a_session_are_all_its_fields() -> None:
    """Nothing is left out."""
    assert len(columns_of(a_session())) == 23
