"""Between rows and values."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.unit.database.nouns import a_session, seed
from voiceblocks.database import sessions
from voiceblocks.database.rows import columns_of, plain
from voiceblocks.database.unit_of_work import Database
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
    assert len(columns_of(a_session())) == 34


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("plain", "plain"),
        ("請稍等 \N{GRINNING FACE}", "請稍等 \N{GRINNING FACE}"),
        ("a\0b", "a\ufffdb"),
        ("a\ud800b", "a?b"),
        ("\0" * 9, "\ufffd" * 9),
        ("'; DROP TABLE sessions; --%s :x", "'; DROP TABLE sessions; --%s :x"),
    ],
)
def test_any_text_is_stored(database: Database, sent: str, stored: str) -> None:
    """No character that a peer sends makes a fact unstorable, in an insert or an update."""
    database.run_sync(seed)
    database.run_sync(lambda c: sessions.insert(c, a_session("S-1-a", last_tag=sent)))
    database.run_sync(lambda c: sessions.update(c, "S-1-a", dialog=sent))
    session = database.run_sync(lambda c: sessions.find(c, "S-1-a"))
    assert session is not None
    assert (session.last_tag, session.dialog) == (stored, stored)
