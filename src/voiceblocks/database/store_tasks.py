"""What the recordings' stores have still to do, in the database.

Functions of a connection inside somebody's transaction; nothing here commits. The node whose
disk has the file carries a task out, and nobody else: tasks need no claims.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import insert_row
from voiceblocks.recordings.store_task import StoreTask, StoreTaskKind

_table = schema.store_tasks

_IS_OF_NODE = _table.c.node == bindparam("of_node")
_BY_RECORDING = _table.c.recording_id == bindparam("of_recording")
_FIND = Prepared(select(_table).where(_BY_RECORDING))
_OLDEST_FIRST = select(_table).order_by(_table.c.created_us, _table.c.recording_id)
_DUE = Prepared(
    select(_table)
    .where(_IS_OF_NODE, _table.c.next_attempt_us <= bindparam("now_us"))
    .order_by(_table.c.next_attempt_us, _table.c.recording_id)
    .limit(bindparam("n_most"))
)
_DELETE = Prepared(_table.delete().where(_BY_RECORDING))
_DELETE_KIND = Prepared(_table.delete().where(_BY_RECORDING, _table.c.kind == bindparam("of_kind")))
_POSTPONE = Prepared(
    _table.update()
    .where(_BY_RECORDING, _table.c.kind == bindparam("of_kind"))
    .values(
        attempt_count=_table.c.attempt_count + 1,
        next_attempt_us=bindparam("until_us"),
        last_error=bindparam("error"),
    )
)
_MAKE_DUE = Prepared(
    _table.update()
    .where(_IS_OF_NODE, _table.c.next_attempt_us > bindparam("now_us"))
    .values(next_attempt_us=bindparam("now_us"))
)
_TAKE_OVER = _table.update().where(~_IS_OF_NODE).values(node=bindparam("of_node"))
_COUNT = Prepared(select(_table.c.kind, func.count()).where(_IS_OF_NODE).group_by(_table.c.kind))


def put(connection: Connection, task: StoreTask) -> None:
    """Insert a task in place of what was to be done with its recording before."""
    _DELETE.change(connection, {"of_recording": task.recording_id})
    insert_row(connection, _table, task)


def find(connection: Connection, recording_id: str) -> StoreTask | None:
    """Return what is to be done with a recording, `None` where that is nothing."""
    row = _FIND.first_by_name(connection, {"of_recording": recording_id})
    return None if row is None else _task(row)


def list_due(connection: Connection, node: str, now_us: int, limit: int) -> list[StoreTask]:
    """Return at most `limit` tasks of a node that may be tried now, the longest due first."""
    values = {"of_node": node, "now_us": now_us, "n_most": limit}
    return [_task(row) for row in _DUE.all_by_name(connection, values)]


def list_all(connection: Connection, limit: int) -> list[StoreTask]:
    """Return at most `limit` tasks of all nodes, oldest first."""
    return [_task(row) for row in connection.execute(_OLDEST_FIRST.limit(limit)).mappings()]


def postpone(connection: Connection, task: StoreTask, until_us: int, error: str) -> None:
    """Count a failed attempt; nothing where the task was replaced meanwhile."""
    values = {**_key(task), "until_us": until_us, "error": error}
    _POSTPONE.change(connection, values)


def take_over(connection: Connection, node: str) -> int:
    """Make all tasks this node's, where a database has one node; see `sessions.take_over`."""
    if connection.dialect.name != "sqlite":
        return 0
    return connection.execute(_TAKE_OVER, {"of_node": node}).rowcount


def make_due(connection: Connection, node: str, now_us: int) -> None:
    """Let all tasks of a node be tried now, as when its store is back."""
    _MAKE_DUE.change(connection, {"of_node": node, "now_us": now_us})


def delete(connection: Connection, task: StoreTask) -> None:
    """Delete a task that is done; nothing where it was replaced meanwhile."""
    _DELETE_KIND.change(connection, _key(task))


def count(connection: Connection, node: str) -> dict[StoreTaskKind, int]:
    """How many tasks of each kind a node has; kinds without one are not there."""
    rows = _COUNT.all(connection, {"of_node": node})
    return {StoreTaskKind(kind): n for kind, n in rows}


def _key(task: StoreTask) -> dict[str, Any]:
    return {"of_recording": task.recording_id, "of_kind": task.kind.value}


def _task(row: Mapping[Any, Any]) -> StoreTask:
    return StoreTask(**{**row, "kind": StoreTaskKind(row["kind"])})
