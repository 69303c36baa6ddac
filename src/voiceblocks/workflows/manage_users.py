"""What an operator does with the console's users.

Functions of a connection: the command line runs them in one transaction each. Bad input raises
`ValueError` with a sentence that says what to do.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from voiceblocks import ids
from voiceblocks.database import users
from voiceblocks.ids import AccountId
from voiceblocks.users.model import LINK_S, NAME_MAX, Role, SignInLink, User, lookup_of, new_secret
from voiceblocks.workflows.manage_accounts import require_account


@dataclass(frozen=True, slots=True)
class NewLink:
    """A user with the secret of a link that signs them in once."""

    user: User
    secret: str


def add_user(connection: Connection, *, name: str, account_id: str | None, now_us: int) -> NewLink:
    """Make an operator, or with `account_id` somebody who sees that account alone."""
    if not name.strip() or len(name) > NAME_MAX or not name.isprintable():
        raise ValueError(f"A user's name has 1 to {NAME_MAX} printable characters")
    if users.find_by_name(connection, name) is not None:
        raise ValueError(f"There is a user {name} already: see `voiceblocks user list`")
    if account_id is not None:
        require_account(connection, account_id)
    user = User(
        id=ids.new_user_id(),
        name=name,
        role=Role.OPERATOR if account_id is None else Role.ACCOUNT,
        account_id=None if account_id is None else AccountId(account_id),
        created_us=now_us,
    )
    users.insert(connection, user)
    return _new_link(connection, user, now_us)


def renew_link(connection: Connection, *, name: str, now_us: int) -> NewLink:
    """Let somebody choose a new password; earlier links and locks are void."""
    user = _require(connection, name)
    users.use_links(connection, user.id, now_us)
    users.update(connection, user.id, failed_count=0, locked_until_us=None, disabled_us=None)
    return _new_link(connection, user, now_us)


def disable_user(connection: Connection, *, name: str, now_us: int) -> User:
    """Sign somebody out everywhere, for good; `renew_link` lets them in again."""
    user = _require(connection, name)
    users.update(connection, user.id, disabled_us=now_us, password_hash=None)
    users.use_links(connection, user.id, now_us)
    users.end_visits(connection, user.id)
    return user


def _require(connection: Connection, name: str) -> User:
    user = users.find_by_name(connection, name)
    if user is None:
        raise ValueError(f"There is no user {name}: see `voiceblocks user list`")
    return user


def _new_link(connection: Connection, user: User, now_us: int) -> NewLink:
    secret = new_secret()
    link = SignInLink(
        lookup=lookup_of(secret),
        user_id=user.id,
        expires_us=now_us + LINK_S * 1_000_000,
        created_us=now_us,
    )
    users.insert_link(connection, link)
    return NewLink(user, secret)
