"""An application's calls of a span of time, newest first, page by page.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, func, select

from voiceblocks.database import schema, sessions
from voiceblocks.sessions.model import Session

_sessions = schema.sessions

_OF_SPAN = (
    _sessions.c.app_id == bindparam("app_id"),
    _sessions.c.created_us >= bindparam("from_us"),
    _sessions.c.created_us <= bindparam("to_us"),
)
COUNT = select(func.count()).select_from(_sessions).where(*_OF_SPAN)
# Only the index is read up to the page, however far behind it is.
PAGE_IDS = (
    select(_sessions.c.id)
    .where(*_OF_SPAN)
    .order_by(_sessions.c.created_us.desc(), _sessions.c.id.desc())
    .limit(bindparam("n_most"))
    .offset(bindparam("n_skipped"))
)
_BY_IDS = (
    select(_sessions)
    .where(_sessions.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(_sessions.c.created_us.desc(), _sessions.c.id.desc())
)


def count(connection: Connection, app_id: str, from_us: int, to_us: int) -> int:
    """Return how many calls of the application began from `from_us` to `to_us`, inclusive."""
    values = {"app_id": app_id, "from_us": from_us, "to_us": to_us}
    return int(connection.execute(COUNT, values).scalar_one())


def page(
    connection: Connection, app_id: str, from_us: int, to_us: int, *, skip: int, limit: int
) -> list[Session]:
    """Return calls of the application that began in a span, newest first, from one page."""
    values = {
        "app_id": app_id,
        "from_us": from_us,
        "to_us": to_us,
        "n_skipped": skip,
        "n_most": limit,
    }
    ids = list(connection.execute(PAGE_IDS, values).scalars())
    return [
        sessions.session_from(row) for row in connection.execute(_BY_IDS, {"ids": ids}).mappings()
    ]


_OF_ACCOUNT = (
    select(_sessions)
    .where(
        _sessions.c.account_id == bindparam("account_id"),
        _sessions.c.created_us >= bindparam("from_us"),
        _sessions.c.created_us < bindparam("to_us"),
    )
    .order_by(_sessions.c.created_us, _sessions.c.id)
)


def of_account(connection: Connection, account_id: str, from_us: int, to_us: int) -> list[Session]:
    """Return an account's calls that began from `from_us` until before `to_us`, oldest first."""
    values = {"account_id": account_id, "from_us": from_us, "to_us": to_us}
    rows = connection.execute(_OF_ACCOUNT, values).mappings()
    return [sessions.session_from(row) for row in rows]
