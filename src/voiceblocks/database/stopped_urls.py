"""URLs that nothing is sent to, since their servers said that they are gone (410)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, or_, select

from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import insert_unless_there

_table = schema.stopped_urls


@dataclass(frozen=True, slots=True)
class StoppedUrl:
    """An application's URL, exactly as it gave it; other queries are other URLs."""

    id: str
    app_id: str
    url: str
    stopped_us: int


def key_of(app_id: str, url: str) -> str:
    """The id of a URL of an application."""
    return hashlib.sha256(f"{app_id} {url}".encode("utf-8", "replace")).hexdigest()


def stop(connection: Connection, app_id: str, url: str, now_us: int) -> bool:
    """Stop a URL; False where it was stopped before."""
    return insert_unless_there(
        connection, _table, StoppedUrl(key_of(app_id, url), app_id, url, now_us)
    )


_AMONG = select(_table.c.id).where(_table.c.id.in_(bindparam("ids", expanding=True)))


def stopped_among(connection: Connection, keys: Iterable[str]) -> set[str]:
    """Return those of the keys (`key_of`) that are stopped."""
    ids = list(set(keys))
    return set(connection.scalars(_AMONG, {"ids": ids})) if ids else set()


_RESUME = Prepared(_table.delete().where(_table.c.id == bindparam("of")))
_RESUME_URL = Prepared(
    _table.delete().where(
        or_(
            _table.c.url == bindparam("by_url"),
            func.substr(_table.c.id, 1, 12) == bindparam("by_url"),
        )
    )
)
_ALL = Prepared(select(_table).order_by(_table.c.stopped_us.desc(), _table.c.id))


def resume(connection: Connection, app_id: str, url: str) -> bool:
    """Send to an application's URL again; False where it was not stopped."""
    return _RESUME.change(connection, {"of": key_of(app_id, url)}) == 1


def resume_for_all(connection: Connection, url: str) -> int:
    """Send again to a URL (or the one with these 12 first signs of its id); returns how many."""
    return _RESUME_URL.change(connection, {"by_url": url})


def list_all(connection: Connection) -> list[StoppedUrl]:
    """Return all stopped URLs, the newest first."""
    return [StoppedUrl(**row) for row in _ALL.all_by_name(connection)]
