"""Accounts, applications, access tokens and numbers in the database.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from voiceblocks.accounts.model import (
    AccessToken,
    Account,
    Application,
    FoundToken,
    Number,
    NumberRoute,
)
from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import (
    insert_row,
    insert_unless_there,
    select_by_id,
    split,
    update_row,
)
from voiceblocks.errors import ContractViolation
from voiceblocks.money import NOTHING, Thousandths

_accounts, _applications = schema.accounts, schema.applications
_tokens, _numbers = schema.access_tokens, schema.numbers

# Accounts

_ACCOUNT = Prepared(select_by_id(_accounts))
# Rows that refer to an account (a charge) hold a key-share lock on it in PostgreSQL: with the
# stronger FOR UPDATE, two who had inserted one and then lock the account would wait for each other.
_ACCOUNT_LOCKED = Prepared(select_by_id(_accounts).with_for_update(key_share=True))
_ACCOUNTS = Prepared(select(_accounts).order_by(_accounts.c.created_us, _accounts.c.id))
_CHANGE_CREDIT = Prepared(
    _accounts.update()
    .where(_accounts.c.id == bindparam("account_id"))
    .values(
        credit=_accounts.c.credit + bindparam("delta"),
        bonus=_accounts.c.bonus + bindparam("bonus_delta"),
    )
    .returning(_accounts.c.credit)
)


def insert_account(connection: Connection, account: Account) -> None:
    """Insert a new account."""
    insert_row(connection, _accounts, account)


def find_account(connection: Connection, account_id: str) -> Account | None:
    """Return the account, `None` where there is none."""
    return _first_account(connection, _ACCOUNT, account_id)


def find_account_for_update(connection: Connection, account_id: str) -> Account | None:
    """Return the account, locked until the end of the transaction."""
    return _first_account(connection, _ACCOUNT_LOCKED, account_id)


def update_account(connection: Connection, account_id: str, **columns: Any) -> None:
    """
    Set columns of an account, named as the fields of `Account`.

    Raises:
        ContractViolation: If there is no such account.
    """
    update_row(connection, _accounts, account_id, columns)


def list_accounts(connection: Connection) -> list[Account]:
    """Return all accounts, oldest first."""
    return [Account(**row) for row in _ACCOUNTS.all_by_name(connection)]


def change_credit(
    connection: Connection,
    account_id: str,
    delta: Thousandths,
    *,
    bonus_delta: Thousandths = NOTHING,
) -> Thousandths:
    """
    Add `delta` (negative for a charge) to the credit and return the new one.

    For `workflows.keep_books` only, which enters the same in the ledger.

    Args:
        connection: Of the transaction that entered it.
        account_id: Whose credit.
        delta: Of points and bonus together.
        bonus_delta: The part of it that is bonus.

    Raises:
        ContractViolation: If there is no such account.
    """
    parameters = {"account_id": account_id, "delta": delta, "bonus_delta": bonus_delta}
    credit = _CHANGE_CREDIT.value(connection, parameters)
    if credit is None:
        raise ContractViolation(f"there is no account {account_id}")
    return Thousandths(credit)


def _first_account(connection: Connection, statement: Prepared, account_id: str) -> Account | None:
    row = statement.first_by_name(connection, {"id": account_id})
    return None if row is None else Account(**row)


# Applications

_APPLICATION = Prepared(select_by_id(_applications))
_APPLICATIONS = select(_applications).order_by(_applications.c.created_us, _applications.c.id)


def insert_application(connection: Connection, application: Application) -> None:
    """Insert a new application."""
    insert_row(connection, _applications, application)


def find_application(connection: Connection, app_id: str) -> Application | None:
    """Return the application, also a revoked one; `None` where there is none."""
    row = _APPLICATION.first_by_name(connection, {"id": app_id})
    return None if row is None else Application(**row)


def update_application(connection: Connection, app_id: str, **columns: Any) -> None:
    """
    Set columns of an application, named as the fields of `Application`.

    Raises:
        ContractViolation: If there is no such application.
    """
    update_row(connection, _applications, app_id, columns)


def list_applications(connection: Connection, account_id: str | None = None) -> list[Application]:
    """Return all applications (of one account), oldest first."""
    statement = _APPLICATIONS
    if account_id is not None:
        statement = statement.where(_applications.c.account_id == account_id)
    return [Application(**row) for row in connection.execute(statement).mappings()]


# Access tokens

_INSERT_TOKEN = Prepared(_tokens.insert())
_TOKEN_BY_LOOKUP = Prepared(
    select(_tokens, _applications, _accounts.c.disabled_us)
    .join(_applications, _tokens.c.app_id == _applications.c.id)
    .join(_accounts, _applications.c.account_id == _accounts.c.id)
    .where(_tokens.c.lookup == bindparam("lookup"))
)
_NEWEST_TOKEN = Prepared(
    select(_tokens)
    .where(
        _tokens.c.app_id == bindparam("app_id"),
        _tokens.c.revoked_us.is_(None),
        _tokens.c.expires_us.is_(None) | (_tokens.c.expires_us > bindparam("now_us")),
    )
    .order_by(_tokens.c.created_us.desc(), _tokens.c.lookup)
    .limit(1)
)
_REVOKE_TOKEN = Prepared(
    _tokens.update().where(
        _tokens.c.lookup == bindparam("by_lookup"), _tokens.c.revoked_us.is_(None)
    )
)


def insert_token(
    connection: Connection,
    lookup: bytes,
    app_id: str,
    sealed: bytes,
    key_id: str,
    created_us: int,
    expires_us: int | None = None,
) -> None:
    """Insert a new access token (`SecretKey.lookup` and `SecretKey.seal` of it)."""
    row = {
        "lookup": lookup,
        "app_id": app_id,
        "sealed": sealed,
        "key_id": key_id,
        "created_us": created_us,
        "expires_us": expires_us,
    }
    _INSERT_TOKEN.change(connection, row)


def find_token(connection: Connection, lookup: bytes) -> FoundToken | None:
    """Return a token with its application; whether both are still good is for the caller."""
    row = _TOKEN_BY_LOOKUP.first(connection, {"lookup": lookup})
    if row is None:
        return None
    token, application = split(row, _tokens, _applications)
    return FoundToken(AccessToken(**token), Application(**application), row[-1])


def newest_token(connection: Connection, app_id: str, now_us: int) -> AccessToken | None:
    """Return the token that signs the application's notifications: the newest valid one."""
    parameters = {"app_id": app_id, "now_us": now_us}
    row = _NEWEST_TOKEN.first_by_name(connection, parameters)
    return None if row is None else AccessToken(**row)


_ANY_TOKEN = select(_tokens.c.lookup).where(_tokens.c.revoked_us.is_(None)).limit(1)


def has_tokens(connection: Connection) -> bool:
    """Whether any token was made that is not revoked."""
    return connection.execute(_ANY_TOKEN).first() is not None


_TOKENS_OF_APPLICATION = Prepared(
    select(_tokens)
    .where(_tokens.c.app_id == bindparam("app_id"))
    .order_by(_tokens.c.created_us, _tokens.c.lookup)
)


def list_tokens(connection: Connection, app_id: str) -> list[AccessToken]:
    """Return all tokens that an application ever had, oldest first; never the tokens themselves."""
    rows = _TOKENS_OF_APPLICATION.all_by_name(connection, {"app_id": app_id})
    return [AccessToken(**row) for row in rows]


_TOKENS_OF_ACCOUNT = (
    select(_tokens)
    .join(_applications, _applications.c.id == _tokens.c.app_id)
    .where(_applications.c.account_id == bindparam("account_id"), _tokens.c.revoked_us.is_(None))
    .order_by(_tokens.c.created_us, _tokens.c.lookup)
)


def list_tokens_of_account(connection: Connection, account_id: str) -> list[AccessToken]:
    """Return the tokens of all its applications but the revoked, oldest first."""
    rows = connection.execute(_TOKENS_OF_ACCOUNT, {"account_id": account_id}).mappings()
    return [AccessToken(**row) for row in rows]


def revoke_token(connection: Connection, lookup: bytes, at_us: int) -> bool:
    """Revoke a token; False where there is none or it was revoked before."""
    parameters = {"by_lookup": lookup, "revoked_us": at_us}
    return _REVOKE_TOKEN.change(connection, parameters) == 1


# Numbers

_ROUTES = (
    select(_numbers, _applications, _accounts)
    .join(_applications, _numbers.c.app_id == _applications.c.id)
    .join(_accounts, _applications.c.account_id == _accounts.c.id)
)
_NUMBER_ROUTE = Prepared(_ROUTES.where(_numbers.c.number == bindparam("number")))
_NUMBERS = select(_numbers).order_by(_numbers.c.number)


_NUMBERS_OF_ACCOUNT = Prepared(
    select(_numbers)
    .join(_applications, _numbers.c.app_id == _applications.c.id)
    .where(_applications.c.account_id == bindparam("account_id"))
    .order_by(_numbers.c.created_us, _numbers.c.number)
)


def insert_number(connection: Connection, number: Number) -> None:
    """Insert a new number."""
    insert_row(connection, _numbers, number)


def find_number(connection: Connection, number: str) -> NumberRoute | None:
    """Return the number with its application (even a revoked one) and its account."""
    row = _NUMBER_ROUTE.first(connection, {"number": number})
    return None if row is None else _route_from(row)


def list_routes(connection: Connection, account_id: str | None, limit: int) -> list[NumberRoute]:
    """Return numbers in order (of one account) with whose they are."""
    statement = _ROUTES.order_by(_numbers.c.number).limit(limit)
    if account_id is not None:
        statement = statement.where(_applications.c.account_id == account_id)
    return [_route_from(row) for row in connection.execute(statement)]


def _route_from(row: Sequence[Any]) -> NumberRoute:
    found, application, account = split(row, _numbers, _applications, _accounts)
    return NumberRoute(Number(**found), Application(**application), Account(**account))


def list_numbers(connection: Connection, app_id: str | None = None) -> list[Number]:
    """Return all numbers (of one application) in order."""
    statement = _NUMBERS
    if app_id is not None:
        statement = statement.where(_numbers.c.app_id == app_id)
    return [Number(**row) for row in connection.execute(statement).mappings()]


def list_numbers_of_account(connection: Connection, account_id: str) -> list[Number]:
    """Return the numbers of all applications of an account, oldest first."""
    rows = _NUMBERS_OF_ACCOUNT.all_by_name(connection, {"account_id": account_id})
    return [Number(**row) for row in rows]


_NUMBER_LOCKED = Prepared(
    select(_numbers).where(_numbers.c.number == bindparam("number")).with_for_update()
)
_UPDATE_NUMBER = _numbers.update().where(_numbers.c.number == bindparam("its_number"))
_DELETE_NUMBER = Prepared(_numbers.delete().where(_numbers.c.number == bindparam("its_number")))
_DUE = Prepared(
    select(_numbers, _applications.c.account_id)
    .join(_applications, _numbers.c.app_id == _applications.c.id)
    .where(_numbers.c.expires_us <= bindparam("now_us"))
    .order_by(_numbers.c.expires_us, _numbers.c.number)
)
_COUNT_SUBSCRIBED = Prepared(
    select(func.count())
    .select_from(_numbers.join(_applications, _numbers.c.app_id == _applications.c.id))
    .where(
        _applications.c.account_id == bindparam("account_id"), _numbers.c.expires_us.is_not(None)
    )
)
_OWN_LIMITS = Prepared(
    select(_applications.c.id, _accounts.c.rate_limit_ivr, _accounts.c.rate_limit_query)
    .join(_accounts, _applications.c.account_id == _accounts.c.id)
    .where(_accounts.c.rate_limit_ivr.is_not(None) | _accounts.c.rate_limit_query.is_not(None))
)


def insert_number_once(connection: Connection, number: Number) -> bool:
    """Insert a number; False, changing nothing, where somebody has it."""
    return insert_unless_there(connection, _numbers, number)


def find_number_for_update(connection: Connection, number: str) -> Number | None:
    """Return the number, locked until the end of the transaction."""
    row = _NUMBER_LOCKED.first_by_name(connection, {"number": number})
    return None if row is None else Number(**row)


def update_number(connection: Connection, number: str, **columns: Any) -> None:
    """Set columns of a number, named as the fields of `Number`."""
    connection.execute(_UPDATE_NUMBER.values(**columns), {"its_number": number})


def delete_number(connection: Connection, number: str) -> None:
    """A number is nobody's any more."""
    _DELETE_NUMBER.change(connection, {"its_number": number})


def due_numbers(connection: Connection, now_us: int) -> list[tuple[Number, str]]:
    """Return the numbers that have expired, each with its account."""
    found = []
    for row in _DUE.all_by_name(connection, {"now_us": now_us}):
        columns = dict(row)
        account_id = columns.pop("account_id")
        found.append((Number(**columns), account_id))
    return found


def count_subscribed(connection: Connection, account_id: str) -> int:
    """Return how many numbers the account has subscribed."""
    return int(_COUNT_SUBSCRIBED.value(connection, {"account_id": account_id}))


def own_limits(connection: Connection) -> dict[str, tuple[int | None, int | None]]:
    """Return the request limits of the applications whose accounts have their own."""
    return {app_id: (ivr, query) for app_id, ivr, query in _OWN_LIMITS.all(connection)}
