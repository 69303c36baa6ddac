"""One-time links that were used, in the database.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import insert_unless_there

_table = schema.used_links

_FIND = Prepared(select(_table.c.id).where(_table.c.id == bindparam("link")))
_DELETE_EXPIRED = Prepared(_table.delete().where(_table.c.expires_s < bindparam("now_s")))


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedLink:
    """One; its row is needed no longer than the link would have been good."""

    id: str
    recording_id: str
    used_us: int
    expires_s: int


def use(connection: Connection, link: UsedLink) -> bool:
    """Write down the one use of a link; False where it was used before, also a moment ago."""
    return insert_unless_there(connection, _table, link)


def is_used(connection: Connection, link_id: str) -> bool:
    """Whether a link was used before."""
    return _FIND.first(connection, {"link": link_id}) is not None


def delete_expired(connection: Connection, now_s: int) -> None:
    """Forget the links that are dead anyway."""
    _DELETE_EXPIRED.change(connection, {"now_s": now_s})
