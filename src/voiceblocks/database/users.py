"""Users of the console, their sign-in links and their visits.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select

from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import insert_row, select_by_id, update_row
from voiceblocks.users.model import Role, SignInLink, User, Visit

_users, _links, _visits = schema.users, schema.sign_in_links, schema.visits

_BY_ID = Prepared(select_by_id(_users))
_BY_NAME_LOCKED = Prepared(
    select(_users).where(_users.c.name == bindparam("name")).with_for_update()
)
_ALL = Prepared(select(_users).order_by(_users.c.name))
_LINK_BY_LOOKUP = select(_links).where(_links.c.lookup == bindparam("lookup"))
_LINK, _LINK_LOCKED = Prepared(_LINK_BY_LOOKUP), Prepared(_LINK_BY_LOOKUP.with_for_update())
_USE_LINKS = Prepared(
    _links.update()
    .where(_links.c.user_id == bindparam("of"), _links.c.used_us.is_(None))
    .values(used_us=bindparam("now_us"))
)
_VISIT = Prepared(select(_visits).where(_visits.c.lookup == bindparam("lookup")))
_SEE = Prepared(
    _visits.update().where(_visits.c.lookup == bindparam("of")).values(seen_us=bindparam("now_us"))
)
_END_VISIT = Prepared(_visits.delete().where(_visits.c.lookup == bindparam("of")))
_END_VISITS = Prepared(_visits.delete().where(_visits.c.user_id == bindparam("of")))
_END_OLD_VISITS = Prepared(_visits.delete().where(_visits.c.seen_us < bindparam("before_us")))


def insert(connection: Connection, user: User) -> None:
    """Insert a new user."""
    insert_row(connection, _users, user)


def find(connection: Connection, user_id: str) -> User | None:
    """Return the user, `None` where there is none."""
    row = _BY_ID.first_by_name(connection, {"id": user_id})
    return None if row is None else _user(row)


def find_by_name(connection: Connection, name: str) -> User | None:
    """Return the user of this name, locked until the end; `None` where there is none."""
    row = _BY_NAME_LOCKED.first_by_name(connection, {"name": name})
    return None if row is None else _user(row)


def list_users(connection: Connection) -> list[User]:
    """Return all users by name."""
    return [_user(row) for row in _ALL.all_by_name(connection)]


def update(connection: Connection, user_id: str, **columns: Any) -> None:
    """
    Set columns of a user, named as the fields of `User`.

    Raises:
        ContractViolation: If there is no such user.
    """
    update_row(connection, _users, user_id, columns)


def insert_link(connection: Connection, link: SignInLink) -> None:
    """Insert a new link."""
    insert_row(connection, _links, link)


def find_link(connection: Connection, lookup: bytes, *, lock: bool = False) -> SignInLink | None:
    """Return the link, `None` where there is none."""
    statement = _LINK_LOCKED if lock else _LINK
    row = statement.first_by_name(connection, {"lookup": lookup})
    return None if row is None else SignInLink(**row)


def use_links(connection: Connection, user_id: str, now_us: int) -> None:
    """Make all links of a user worthless."""
    _USE_LINKS.change(connection, {"of": user_id, "now_us": now_us})


def insert_visit(connection: Connection, visit: Visit) -> None:
    """Insert a new visit."""
    insert_row(connection, _visits, visit)


def find_visit(connection: Connection, lookup: bytes) -> Visit | None:
    """Return the visit, `None` where there is none."""
    row = _VISIT.first_by_name(connection, {"lookup": lookup})
    return None if row is None else Visit(**row)


def see_visit(connection: Connection, lookup: bytes, now_us: int) -> None:
    """Note that a visit is still alive."""
    _SEE.change(connection, {"of": lookup, "now_us": now_us})


def end_visit(connection: Connection, lookup: bytes) -> None:
    """Sign one browser out."""
    _END_VISIT.change(connection, {"of": lookup})


def end_visits(connection: Connection, user_id: str) -> None:
    """Sign a user out everywhere."""
    _END_VISITS.change(connection, {"of": user_id})


def end_visits_before(connection: Connection, before_us: int) -> None:
    """Forget visits that nobody used since then."""
    _END_OLD_VISITS.change(connection, {"before_us": before_us})


def _user(row: Mapping[Any, Any]) -> User:
    return User(**{**row, "role": Role(row["role"])})
