"""Further legs in the database: what a transfer dialled, or the second leg of `voice/call`.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import insert_row, select_by_id, update_row
from voiceblocks.sessions.model import FurtherLeg

_table = schema.legs

_BY_ID = Prepared(select_by_id(_table))
_OF_SESSION = Prepared(
    select(_table).where(_table.c.session_id == bindparam("session_id")).order_by(_table.c.number)
)
_OF_SESSIONS = (
    select(_table)
    .where(_table.c.session_id.in_(bindparam("session_ids", expanding=True)))
    .order_by(_table.c.session_id, _table.c.number)
)
_COUNT_SINCE = Prepared(
    select(func.count())
    .select_from(_table)
    .where(
        _table.c.account_id == bindparam("account_id"),
        _table.c.created_us >= bindparam("since_us"),
    )
)
_NOTE_RINGING = (
    _table.update()
    .where(
        _table.c.id == bindparam("leg_id"),
        _table.c.answered_us.is_(None),
        _table.c.ended_us.is_(None),
    )
    .values(dialog=bindparam("text"))
)
_FORGET_RINGING = (
    _table.update()
    .where(
        _table.c.session_id == bindparam("of_session"),
        _table.c.answered_us.is_(None),
        _table.c.dialog.is_not(None),
    )
    .values(dialog=None)
)


def insert(connection: Connection, leg: FurtherLeg) -> None:
    """Insert a new leg."""
    insert_row(connection, _table, leg)


def find(connection: Connection, leg_id: str) -> FurtherLeg | None:
    """Return the leg, `None` where there is none."""
    row = _BY_ID.first_by_name(connection, {"id": leg_id})
    return None if row is None else FurtherLeg(**row)


def update(connection: Connection, leg_id: str, **columns: Any) -> None:
    """
    Set columns of a leg, named as the fields of `FurtherLeg`.

    Raises:
        ContractViolation: If there is no such leg.
    """
    update_row(connection, _table, leg_id, columns)


def note_ringing(connection: Connection, leg_id: str, dialog: str) -> None:
    """Set what ends the leg; nothing where it was answered, or is over, meanwhile."""
    connection.execute(_NOTE_RINGING, {"leg_id": leg_id, "text": dialog})


def forget_ringing(connection: Connection, session_id: str) -> None:
    """None of the session's further legs rings any more."""
    connection.execute(_FORGET_RINGING, {"of_session": session_id})


def list_of_session(connection: Connection, session_id: str) -> list[FurtherLeg]:
    """Return the session's further legs by their numbers."""
    rows = _OF_SESSION.all_by_name(connection, {"session_id": session_id})
    return [FurtherLeg(**row) for row in rows]


def list_of_sessions(connection: Connection, session_ids: list[str]) -> dict[str, list[FurtherLeg]]:
    """Return the further legs of these sessions, by session and their numbers."""
    found: dict[str, list[FurtherLeg]] = {session_id: [] for session_id in session_ids}
    for row in connection.execute(_OF_SESSIONS, {"session_ids": session_ids}).mappings():
        found[row["session_id"]].append(FurtherLeg(**row))
    return found


def count_since(connection: Connection, account_id: str, since_us: int) -> int:
    """Return how many further legs the account dialled at `since_us` or later."""
    values = {"account_id": account_id, "since_us": since_us}
    return int(_COUNT_SINCE.value(connection, values))
