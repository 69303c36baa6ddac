"""Money: the ledger with what accounts have now, holds, billing blocks, and numbers to subscribe.

A table's triggers are lost on SQLite where a later migration rebuilds it (`batch_alter_table`):
who changes `ledger_entries` or `charges` so must create them again with `make_append_only`.
"""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and tables; every account's credit becomes its opening entry."""
    _add_columns()
    _create_tables()
    for table in ("ledger_entries", "charges"):
        make_append_only(table)
    _open_books()


def make_append_only(table: str) -> None:
    """Refuse to change or delete a row of `table`, whoever asks."""
    sentence = f"{table} only grows: enter a correction instead"
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{sentence}'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_only_grows() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{sentence}'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_only_grows BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_only_grows()"
    )


def _open_books() -> None:
    """What an account has (or owes) moves into its book, exactly."""
    insert = sa.text(
        "INSERT INTO ledger_entries (id, transaction_id, kind, account_id, from_book, to_book,"
        " amount, currency, note, created_us)"
        " SELECT 'opening_' || id || '/1', 'opening_' || id, 'opening', id,"
        " CASE WHEN credit > 0 THEN 'operator/opening' ELSE id || '/points' END,"
        " CASE WHEN credit > 0 THEN id || '/points' ELSE 'operator/opening' END,"
        " ABS(credit), currency, 'credit before there was a ledger', CAST(:now_us AS BIGINT)"
        " FROM accounts WHERE credit <> 0"
    )
    op.get_bind().execute(insert, {"now_us": time.time_ns() // 1000})


def _add_columns() -> None:
    _add_with_defaults(
        "accounts",
        [
            sa.Column("bonus", sa.BigInteger(), nullable=False, server_default="0"),
            sa.Column("overdraft", sa.BigInteger(), nullable=False, server_default="0"),
            sa.Column("is_trial", sa.Boolean(), nullable=False, server_default=sa.false()),
            sa.Column("max_numbers", sa.Integer(), nullable=True),
            sa.Column("email", sa.Text(), nullable=True),
            sa.Column("country", sa.String(length=2), nullable=True),
            sa.Column("rate_limit_ivr", sa.Integer(), nullable=True),
            sa.Column("rate_limit_query", sa.Integer(), nullable=True),
        ],
    )
    _add_with_defaults(
        "numbers",
        [
            sa.Column("expires_us", sa.BigInteger(), nullable=True),
            sa.Column("auto_extend", sa.Boolean(), nullable=False, server_default=sa.false()),
            sa.Column("months", sa.Integer(), nullable=True),
        ],
    )
    op.create_index(op.f("ix_numbers_expires_us"), "numbers", ["expires_us"])
    _add_with_defaults("tariffs", [_block_s()])
    _add_with_defaults("legs", [_block_s()])
    _add_with_defaults(
        "sessions",
        [
            _block_s(),
            sa.Column("held", sa.BigInteger(), nullable=False, server_default="0"),
            sa.Column("paid_until_us", sa.BigInteger(), nullable=True),
            sa.Column("metered_us", sa.BigInteger(), nullable=True),
            sa.Column("credit_ended_us", sa.BigInteger(), nullable=True),
        ],
    )


def _block_s() -> sa.Column[int]:
    return sa.Column("block_s", sa.Integer(), nullable=False, server_default="60")


def _add_with_defaults(table: str, columns: list[sa.Column[Any]]) -> None:
    """The defaults are for the rows that there are; new ones always say what they are."""
    defaulted = [(c.name, c.type) for c in columns if c.server_default is not None]
    with op.batch_alter_table(table) as batch:
        for column in columns:
            batch.add_column(column)
    with op.batch_alter_table(table) as batch:
        for name, kind in defaulted:
            batch.alter_column(name, server_default=None, existing_type=kind)


def _create_tables() -> None:
    op.create_table(
        "ledger_entries",
        sa.Column("id", sa.String(length=96), nullable=False),
        sa.Column("transaction_id", sa.String(length=88), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("from_book", sa.String(length=48), nullable=False),
        sa.Column("to_book", sa.String(length=48), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount > 0", name="ck_ledger_entries_amount"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_ledger_entries_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entries")),
    )
    op.create_index(
        op.f("ix_ledger_entries_account_id_created_us"),
        "ledger_entries",
        ["account_id", "created_us"],
    )
    op.create_table(
        "number_stock",
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("country_name", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("state_name", sa.Text(), nullable=False),
        sa.Column("free_from_us", sa.BigInteger(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_number_stock")),
    )
    op.create_index(
        op.f("ix_number_stock_country_state_number"),
        "number_stock",
        ["country", "state", "number"],
    )
    op.create_table(
        "number_rates",
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("months", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("rate", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("country", "months", "currency", name=op.f("pk_number_rates")),
    )
