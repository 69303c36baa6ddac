"""Sessions and the runs of their blocks in the database.

Functions of a connection inside somebody's transaction; nothing here commits. What
the state may become is decided by `sessions.state`, not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import insert_row, select_by_id, update_row
from voiceblocks.errors import ContractViolation
from voiceblocks.money import Thousandths
from voiceblocks.recordings.state import UNFINISHED_STATES
from voiceblocks.sessions.model import BlockRun, Direction, Session, SessionKind
from voiceblocks.sessions.state import LIVE_STATES, SessionState

_sessions, _runs = schema.sessions, schema.block_runs

# Named one by one, not as "not ended": so an index finds them among years of ended ones.
_IS_LIVE = _sessions.c.state.in_([state.value for state in LIVE_STATES])

_BY_ID = Prepared(select_by_id(_sessions))
_BY_ID_LOCKED = Prepared(select_by_id(_sessions).with_for_update())
_BY_TXN_REF = Prepared(select(_sessions).where(_sessions.c.txn_ref == bindparam("txn_ref")))
_COUNT_LIVE = Prepared(
    select(func.count())
    .select_from(_sessions)
    .where(_sessions.c.account_id == bindparam("account_id"), _IS_LIVE)
)
_SUM_HELD = Prepared(
    select(func.coalesce(func.sum(_sessions.c.held), 0)).where(
        _sessions.c.account_id == bindparam("account_id"), _IS_LIVE
    )
)
_LIVE = Prepared(
    select(_sessions).where(_sessions.c.account_id == bindparam("account_id"), _IS_LIVE)
)
_COUNT_DIALLED = Prepared(
    select(func.count())
    .select_from(_sessions)
    .where(
        _sessions.c.account_id == bindparam("account_id"),
        _sessions.c.created_us >= bindparam("since_us"),
        _sessions.c.direction == Direction.OUTBOUND.value,
    )
)
_UNFINISHED = Prepared(
    select(_sessions)
    .where(_IS_LIVE, _sessions.c.node == bindparam("node"))
    .order_by(_sessions.c.created_us, _sessions.c.id)
)
_NEWEST_FIRST = select(_sessions).order_by(_sessions.c.created_us.desc(), _sessions.c.id)
_NEXT_SEQUENCE = Prepared(
    _sessions.update()
    .where(_sessions.c.id == bindparam("session_id"))
    .values(notification_count=_sessions.c.notification_count + 1)
    .returning(_sessions.c.notification_count)
)
_NOTE_RINGING = (
    _sessions.update()
    .where(
        _sessions.c.id == bindparam("session_id"),
        _sessions.c.answered_us.is_(None),
        _sessions.c.ended_us.is_(None),
    )
    .values(dialog=bindparam("text"))
)


def insert(connection: Connection, session: Session) -> None:
    """Insert a new session."""
    insert_row(connection, _sessions, session)


def find(connection: Connection, session_id: str) -> Session | None:
    """Return the session, `None` where there is none."""
    return _first(connection, _BY_ID, {"id": session_id})


def find_for_update(connection: Connection, session_id: str) -> Session | None:
    """Return the session, locked until the end of the transaction."""
    return _first(connection, _BY_ID_LOCKED, {"id": session_id})


def find_by_txn_ref(connection: Connection, txn_ref: str) -> Session | None:
    """Return the session of a voice transaction, `None` where there is none."""
    return _first(connection, _BY_TXN_REF, {"txn_ref": txn_ref})


def update(connection: Connection, session_id: str, **columns: Any) -> None:
    """
    Set columns of a session, named as the fields of `Session`.

    Raises:
        ContractViolation: If there is no such session.
    """
    update_row(connection, _sessions, session_id, columns)


def note_ringing(connection: Connection, session_id: str, dialog: str) -> None:
    """Set what ends the session's own leg; nothing where it was answered, or is over, meanwhile."""
    connection.execute(_NOTE_RINGING, {"session_id": session_id, "text": dialog})


def count_live(connection: Connection, account_id: str) -> int:
    """Return how many calls of the account have not ended."""
    return int(_COUNT_LIVE.value(connection, {"account_id": account_id}))


def sum_held(connection: Connection, account_id: str) -> Thousandths:
    """Return what all live calls of the account hold of its credit."""
    # PostgreSQL adds up bigints to a numeric.
    return Thousandths(int(_SUM_HELD.value(connection, {"account_id": account_id})))


def list_live(connection: Connection, account_id: str) -> list[Session]:
    """Return the account's calls that have not ended."""
    rows = _LIVE.all_by_name(connection, {"account_id": account_id})
    return [session_from(row) for row in rows]


def count_dialled_since(connection: Connection, account_id: str, since_us: int) -> int:
    """Return how many calls the account placed at `since_us` or later."""
    values = {"account_id": account_id, "since_us": since_us}
    return int(_COUNT_DIALLED.value(connection, values))


def list_unfinished(connection: Connection, node: str) -> list[Session]:
    """Return the node's sessions that have not ended, oldest first: what a crash left."""
    return [session_from(row) for row in _UNFINISHED.all_by_name(connection, {"node": node})]


_TAKE_OVER = (
    _sessions.update()
    .where(
        _IS_LIVE
        | _sessions.c.id.in_(
            select(schema.recordings.c.session_id).where(
                schema.recordings.c.state.in_([state.value for state in UNFINISHED_STATES])
            )
        ),
        _sessions.c.node != bindparam("of_node"),
    )
    .values(node=bindparam("of_node"))
)


def take_over(connection: Connection, node: str) -> int:
    """
    Make what is unfinished this node's, where a database has one node; returns how many sessions.

    A SQLite database does: who left them was this node by a former name. On PostgreSQL they may
    be another node's, and nothing is changed.
    """
    if connection.dialect.name != "sqlite":
        return 0
    return connection.execute(_TAKE_OVER, {"of_node": node}).rowcount


def recent(connection: Connection, limit: int, account_id: str | None = None) -> list[Session]:
    """Return at most `limit` sessions (of one account), newest first."""
    statement = _NEWEST_FIRST.limit(limit)
    if account_id is not None:
        statement = statement.where(_sessions.c.account_id == account_id)
    return [session_from(row) for row in connection.execute(statement).mappings()]


def next_notification_sequence(connection: Connection, session_id: str) -> int:
    """
    Count one more notification of the session and return its number, from 1.

    The session's row stays locked until the end of the transaction, so the numbers have
    no gaps and stand in the order of the commits.

    Raises:
        ContractViolation: If there is no such session.
    """
    sequence = _NEXT_SEQUENCE.value(connection, {"session_id": session_id})
    if sequence is None:
        raise ContractViolation(f"there is no session {session_id}")
    return int(sequence)


def _first(
    connection: Connection, statement: Prepared, parameters: Mapping[str, Any]
) -> Session | None:
    row = statement.first_by_name(connection, parameters)
    return None if row is None else session_from(row)


def session_from(row: Mapping[Any, Any]) -> Session:
    """Make a session of its row."""
    columns = dict(row)
    columns["state"] = SessionState(columns["state"])
    columns["direction"] = Direction(columns["direction"])
    columns["kind"] = SessionKind(columns["kind"])
    return Session(**columns)


# Block runs

_RUN = Prepared(select_by_id(_runs))
_RUNS_OF_SESSION = Prepared(
    select(_runs)
    .where(_runs.c.session_id == bindparam("session_id"))
    .order_by(_runs.c.created_us, _runs.c.id)
)
_FINISH_RUN = Prepared(
    _runs.update().where(_runs.c.id == bindparam("run_id"), _runs.c.finished_us.is_(None))
)


def insert_run(connection: Connection, run: BlockRun) -> None:
    """Insert a new run of a block."""
    insert_row(connection, _runs, run)


def find_run(connection: Connection, run_id: str) -> BlockRun | None:
    """Return the run, `None` where there is none."""
    row = _RUN.first_by_name(connection, {"id": run_id})
    return None if row is None else BlockRun(**row)


def finish_run(connection: Connection, run_id: str, at_us: int, reason: str) -> bool:
    """Note the end of a run; False, changing nothing, where it had ended or is unknown."""
    parameters = {"run_id": run_id, "finished_us": at_us, "end_reason": str(reason)}
    return _FINISH_RUN.change(connection, parameters) == 1


def list_runs(connection: Connection, session_id: str) -> list[BlockRun]:
    """Return the session's runs, oldest first."""
    rows = _RUNS_OF_SESSION.all_by_name(connection, {"session_id": session_id})
    return [BlockRun(**row) for row in rows]
