"""Accounts, applications, access tokens and numbers in the database.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select, update

from voiceblocks.accounts.model import (
    AccessToken,
    Account,
    Application,
    FoundToken,
    Number,
    NumberRoute,
)
from voiceblocks.database import schema
from voiceblocks.database.rows import insert_row
from voiceblocks.errors import ContractViolation
from voiceblocks.money import Thousandths

# Accounts


def insert_account(connection: Connection, account: Account) -> None:
    """Insert a new account."""
    insert_row(connection, schema.accounts, account)


def find_account(connection: Connection, account_id: str) -> Account | None:
    """Return the account, `None` where there is none."""
    return _first_account(connection, _account(account_id))


def find_account_for_update(connection: Connection, account_id: str) -> Account | None:
    """Return the account, locked until the end of the transaction."""
    return _first_account(connection, _account(account_id).with_for_update())


def list_accounts(connection: Connection) -> list[Account]:
    """Return all accounts, oldest first."""
    statement = select(schema.accounts).order_by(schema.accounts.c.created_us, schema.accounts.c.id)
    return [Account(**row) for row in connection.execute(statement).mappings()]


def change_credit(connection: Connection, account_id: str, delta: Thousandths) -> Thousandths:
    """
    Add `delta` (negative for a charge) to the credit and return the new one.

    Raises:
        ContractViolation: If there is no such account.
    """
    statement = (
        update(schema.accounts)
        .where(schema.accounts.c.id == account_id)
        .values(credit=schema.accounts.c.credit + delta)
        .returning(schema.accounts.c.credit)
    )
    credit = connection.execute(statement).scalar()
    if credit is None:
        raise ContractViolation(f"there is no account {account_id}")
    return Thousandths(credit)


def _account(account_id: str) -> Select[Any]:
    return select(schema.accounts).where(schema.accounts.c.id == account_id)


def _first_account(connection: Connection, statement: Select[Any]) -> Account | None:
    row = connection.execute(statement).mappings().first()
    return None if row is None else Account(**row)


# Applications


def insert_application(connection: Connection, application: Application) -> None:
    """Insert a new application."""
    insert_row(connection, schema.applications, application)


def find_application(connection: Connection, app_id: str) -> Application | None:
    """Return the application, also a revoked one; `None` where there is none."""
    statement = select(schema.applications).where(schema.applications.c.id == app_id)
    row = connection.execute(statement).mappings().first()
    return None if row is None else Application(**row)


def list_applications(connection: Connection, account_id: str | None = None) -> list[Application]:
    """Return all applications (of one account), oldest first."""
    table = schema.applications
    statement = select(table).order_by(table.c.created_us, table.c.id)
    if account_id is not None:
        statement = statement.where(table.c.account_id == account_id)
    return [Application(**row) for row in connection.execute(statement).mappings()]


# Access tokens


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
    connection.execute(
        schema.access_tokens.insert().values(
            lookup=lookup,
            app_id=app_id,
            sealed=sealed,
            key_id=key_id,
            created_us=created_us,
            expires_us=expires_us,
        )
    )


def find_token(connection: Connection, lookup: bytes) -> FoundToken | None:
    """Return a token with its application; whether both are still good is for the caller."""
    tokens, applications = schema.access_tokens, schema.applications
    statement = (
        select(*_labelled("token", tokens), *_labelled("app", applications))
        .join(applications, tokens.c.app_id == applications.c.id)
        .where(tokens.c.lookup == lookup)
    )
    row = connection.execute(statement).mappings().first()
    if row is None:
        return None
    return FoundToken(AccessToken(**_part(row, "token")), Application(**_part(row, "app")))


def newest_token(connection: Connection, app_id: str, now_us: int) -> AccessToken | None:
    """Return the token that signs the application's notifications: the newest valid one."""
    table = schema.access_tokens
    statement = (
        select(table)
        .where(
            table.c.app_id == app_id,
            table.c.revoked_us.is_(None),
            table.c.expires_us.is_(None) | (table.c.expires_us > now_us),
        )
        .order_by(table.c.created_us.desc(), table.c.lookup)
        .limit(1)
    )
    row = connection.execute(statement).mappings().first()
    return None if row is None else AccessToken(**row)


def revoke_token(connection: Connection, lookup: bytes, at_us: int) -> bool:
    """Revoke a token; False where there is none or it was revoked before."""
    table = schema.access_tokens
    statement = (
        update(table)
        .where(table.c.lookup == lookup, table.c.revoked_us.is_(None))
        .values(revoked_us=at_us)
    )
    return connection.execute(statement).rowcount == 1


# Numbers


def insert_number(connection: Connection, number: Number) -> None:
    """Insert a new number."""
    insert_row(connection, schema.numbers, number)


def find_number(connection: Connection, number: str) -> NumberRoute | None:
    """Return the number with its application (even a revoked one) and its account."""
    numbers, applications, accounts = schema.numbers, schema.applications, schema.accounts
    statement = (
        select(
            *_labelled("number", numbers),
            *_labelled("app", applications),
            *_labelled("account", accounts),
        )
        .join(applications, numbers.c.app_id == applications.c.id)
        .join(accounts, applications.c.account_id == accounts.c.id)
        .where(numbers.c.number == number)
    )
    row = connection.execute(statement).mappings().first()
    if row is None:
        return None
    return NumberRoute(
        Number(**_part(row, "number")),
        Application(**_part(row, "app")),
        Account(**_part(row, "account")),
    )


def list_numbers(connection: Connection, app_id: str | None = None) -> list[Number]:
    """Return all numbers (of one application) in order."""
    statement = select(schema.numbers).order_by(schema.numbers.c.number)
    if app_id is not None:
        statement = statement.where(schema.numbers.c.app_id == app_id)
    return [Number(**row) for row in connection.execute(statement).mappings()]


def _labelled(prefix: str, table: Any) -> list[Any]:
    return [column.label(f"{prefix}.{column.name}") for column in table.c]


def _part(row: RowMapping, prefix: str) -> dict[str, Any]:
    start = len(prefix) + 1
    return {name[start:]: value for name, value in row.items() if name.startswith(prefix + ".")}
