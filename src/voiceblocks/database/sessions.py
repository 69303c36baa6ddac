"""Sessions and the runs of their blocks in the database.

Functions of a connection inside somebody's transaction; nothing here commits. What
the state may become is decided by `sessions.state`, not here.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, select

from voiceblocks.database import schema
from voiceblocks.database.rows import insert_row, update_row
from voiceblocks.errors import ContractViolation
from voiceblocks.sessions.model import BlockRun, Direction, Session
from voiceblocks.sessions.state import LIVE_STATES, SessionState

_LIVE = tuple(state.value for state in LIVE_STATES)


def insert(connection: Connection, session: Session) -> None:
    """Insert a new session."""
    insert_row(connection, schema.sessions, session)


def find(connection: Connection, session_id: str) -> Session | None:
    """Return the session, `None` where there is none."""
    return _first(connection, _by_id(session_id))


def find_for_update(connection: Connection, session_id: str) -> Session | None:
    """Return the session, locked until the end of the transaction."""
    return _first(connection, _by_id(session_id).with_for_update())


def find_by_txn_ref(connection: Connection, txn_ref: str) -> Session | None:
    """Return the session of a voice transaction, `None` where there is none."""
    return _first(connection, select(schema.sessions).where(schema.sessions.c.txn_ref == txn_ref))


def update(connection: Connection, session_id: str, **columns: Any) -> None:
    """
    Set columns of a session, named as the fields of `Session`.

    Raises:
        ContractViolation: If there is no such session.
    """
    update_row(connection, schema.sessions, session_id, columns)


def count_live(connection: Connection, account_id: str) -> int:
    """Return how many calls of the account have not ended."""
    table = schema.sessions
    statement = (
        select(func.count())
        .select_from(table)
        .where(table.c.account_id == account_id, table.c.state.in_(_LIVE))
    )
    return int(connection.execute(statement).scalar_one())


def list_unfinished(connection: Connection, node: str) -> list[Session]:
    """Return the node's sessions that have not ended, oldest first: what a crash left."""
    table = schema.sessions
    statement = (
        select(table)
        .where(table.c.state.in_(_LIVE), table.c.node == node)
        .order_by(table.c.created_us, table.c.id)
    )
    return [_session(row) for row in connection.execute(statement).mappings()]


def recent(connection: Connection, limit: int, account_id: str | None = None) -> list[Session]:
    """Return at most `limit` sessions (of one account), newest first."""
    table = schema.sessions
    statement = select(table).order_by(table.c.created_us.desc(), table.c.id).limit(limit)
    if account_id is not None:
        statement = statement.where(table.c.account_id == account_id)
    return [_session(row) for row in connection.execute(statement).mappings()]


def next_notification_sequence(connection: Connection, session_id: str) -> int:
    """
    Count one more notification of the session and return its number, from 1.

    The session's row stays locked until the end of the transaction, so the numbers have
    no gaps and stand in the order of the commits.

    Raises:
        ContractViolation: If there is no such session.
    """
    table = schema.sessions
    statement = (
        table.update()
        .where(table.c.id == session_id)
        .values(notification_count=table.c.notification_count + 1)
        .returning(table.c.notification_count)
    )
    sequence = connection.execute(statement).scalar()
    if sequence is None:
        raise ContractViolation(f"there is no session {session_id}")
    return int(sequence)


def _by_id(session_id: str) -> Select[Any]:
    return select(schema.sessions).where(schema.sessions.c.id == session_id)


def _first(connection: Connection, statement: Select[Any]) -> Session | None:
    row = connection.execute(statement).mappings().first()
    return None if row is None else _session(row)


def _session(row: RowMapping) -> Session:
    columns = dict(row)
    columns["state"] = SessionState(columns["state"])
    columns["direction"] = Direction(columns["direction"])
    return Session(**columns)


# Block runs


def insert_run(connection: Connection, run: BlockRun) -> None:
    """Insert a new run of a block."""
    insert_row(connection, schema.block_runs, run)


def find_run(connection: Connection, run_id: str) -> BlockRun | None:
    """Return the run, `None` where there is none."""
    statement = select(schema.block_runs).where(schema.block_runs.c.id == run_id)
    row = connection.execute(statement).mappings().first()
    return None if row is None else BlockRun(**row)


def finish_run(connection: Connection, run_id: str, at_us: int, reason: str) -> bool:
    """Note the end of a run; False, changing nothing, where it had ended or is unknown."""
    table = schema.block_runs
    statement = (
        table.update()
        .where(table.c.id == run_id, table.c.finished_us.is_(None))
        .values(finished_us=at_us, end_reason=str(reason))
    )
    return connection.execute(statement).rowcount == 1


def list_runs(connection: Connection, session_id: str) -> list[BlockRun]:
    """Return the session's runs, oldest first."""
    table = schema.block_runs
    statement = (
        select(table)
        .where(table.c.session_id == session_id)
        .order_by(table.c.created_us, table.c.id)
    )
    return [BlockRun(**row) for row in connection.execute(statement).mappings()]
