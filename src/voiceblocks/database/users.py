"""Users of the console, their sign-in links and their visits.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, select

from voiceblocks.database import schema
from voiceblocks.database.rows import insert_row, select_by_id, update_row
from voiceblocks.users.model import Role, SignInLink, User, Visit

_users, _links, _visits = schema.users, schema.sign_in_links, schema.visits

_BY_ID = select_by_id(_users)
_BY_NAME = select(_users).where(_users.c.name == bindparam("name"))
_ALL = select(_users).order_by(_users.c.name)
_LINK = select(_links).where(_links.c.lookup == bindparam("lookup"))
_LINK_LOCKED = _LINK.with_for_update()
_USE_LINKS = (
    _links.update()
    .where(_links.c.user_id == bindparam("of"), _links.c.used_us.is_(None))
    .values(used_us=bindparam("now_us"))
)
_VISIT = select(_visits).where(_visits.c.lookup == bindparam("lookup"))
_SEE = (
    _visits.update().where(_visits.c.lookup == bindparam("of")).values(seen_us=bindparam("now_us"))
)
_END_VISIT = _visits.delete().where(_visits.c.lookup == bindparam("of"))
_END_VISITS = _visits.delete().where(_visits.c.user_id == bindparam("of"))
_END_OLD_VISITS = _visits.delete().where(_visits.c.seen_us < bindparam("before_us"))


def insert(connection: Connection, user: User) -> None:
    """Insert a new user."""
    insert_row(connection, _users, user)


def find(connection: Connection, user_id: str) -> User | None:
    """Return the user, `None` where there is none."""
    row = connection.execute(_BY_ID, {"id": user_id}).mappings().first()
    return None if row is None else _user(row)


def find_by_name(connection: Connection, name: str) -> User | None:
    """Return the user of this name, locked until the end; `None` where there is none."""
    row = connection.execute(_BY_NAME.with_for_update(), {"name": name}).mappings().first()
    return None if row is None else _user(row)


def list_users(connection: Connection) -> list[User]:
    """Return all users by name."""
    return [_user(row) for row in connection.execute(_ALL).mappings()]


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
    row = connection.execute(statement, {"lookup": lookup}).mappings().first()
    return None if row is None else SignInLink(**row)


def use_links(connection: Connection, user_id: str, now_us: int) -> None:
    """Make all links of a user worthless."""
    connection.execute(_USE_LINKS, {"of": user_id, "now_us": now_us})


def insert_visit(connection: Connection, visit: Visit) -> None:
    """Insert a new visit."""
    insert_row(connection, _visits, visit)


def find_visit(connection: Connection, lookup: bytes) -> Visit | None:
    """Return the visit, `None` where there is none."""
    row = connection.execute(_VISIT, {"lookup": lookup}).mappings().first()
    return None if row is None else Visit(**row)


def see_visit(connection: Connection, lookup: bytes, now_us: int) -> None:
    """Note that a visit is still alive."""
    connection.execute(_SEE, {"of": lookup, "now_us": now_us})


def end_visit(connection: Connection, lookup: bytes) -> None:
    """Sign one browser out."""
    connection.execute(_END_VISIT, {"of": lookup})


def end_visits(connection: Connection, user_id: str) -> None:
    """Sign a user out everywhere."""
    connection.execute(_END_VISITS, {"of": user_id})


def end_visits_before(connection: Connection, before_us: int) -> None:
    """Forget visits that nobody used since then."""
    connection.execute(_END_OLD_VISITS, {"before_us": before_us})


def _user(row: RowMapping) -> User:
    return User(**{**row, "role": Role(row["role"])})
