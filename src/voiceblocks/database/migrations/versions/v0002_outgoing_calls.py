"""Outgoing calls: kinds of sessions, further legs, trunks, and who may be called."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add tables and columns; what there is keeps its meaning."""
    _add_columns()
    _create_tables()


def _add_columns() -> None:
    with op.batch_alter_table("accounts") as accounts:
        accounts.add_column(sa.Column("registered_number", sa.String(length=20), nullable=True))
        accounts.add_column(sa.Column("dials_per_minute", sa.Integer(), nullable=True))
        accounts.add_column(sa.Column("spend_per_day", sa.BigInteger(), nullable=True))
    # The default is for the rows that there are; new ones always say what they are.
    with op.batch_alter_table("sessions") as sessions:
        sessions.add_column(
            sa.Column("kind", sa.String(length=12), nullable=False, server_default="ivr")
        )
        sessions.add_column(sa.Column("room", sa.String(length=32), nullable=True))
        sessions.add_column(sa.Column("monitor_id", sa.String(length=48), nullable=True))
        sessions.add_column(sa.Column("max_duration_s", sa.Integer(), nullable=True))
    with op.batch_alter_table("sessions") as sessions:
        sessions.alter_column("kind", server_default=None, existing_type=sa.String(length=12))
    op.create_index(
        op.f("ix_sessions_app_id_created_us_id"), "sessions", ["app_id", "created_us", "id"]
    )
    with op.batch_alter_table("recordings") as recordings:
        recordings.add_column(
            sa.Column("kind", sa.String(length=8), nullable=False, server_default="record")
        )
        recordings.add_column(sa.Column("notify_url", sa.Text(), nullable=True))
        recordings.add_column(sa.Column("tag", sa.Text(), nullable=True))
    with op.batch_alter_table("recordings") as recordings:
        recordings.alter_column("kind", server_default=None, existing_type=sa.String(length=8))
    op.create_index(
        op.f("ix_charges_account_id_created_us"), "charges", ["account_id", "created_us"]
    )


def _create_tables() -> None:
    op.create_table(
        "allowed_prefixes",
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("prefix", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_allowed_prefixes_account_id")
        ),
        sa.PrimaryKeyConstraint("account_id", "prefix", name=op.f("pk_allowed_prefixes")),
    )
    op.create_table(
        "legs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("session_id", sa.String(length=48), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("dest", sa.String(length=20), nullable=False),
        sa.Column("caller", sa.String(length=64), nullable=False),
        sa.Column("trunk_id", sa.String(length=32), nullable=True),
        sa.Column("rate", sa.BigInteger(), nullable=False),
        sa.Column("debit", sa.BigInteger(), nullable=True),
        sa.Column("disposition", sa.String(length=12), nullable=True),
        sa.Column("dialog", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("answered_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_legs_account_id")),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_legs_session_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legs")),
        sa.UniqueConstraint("session_id", "number", name=op.f("uq_legs_session_id_number")),
    )
    op.create_index(op.f("ix_legs_account_id_created_us"), "legs", ["account_id", "created_us"])
    op.create_table(
        "trunks",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=True),
        sa.Column("sealed_password", sa.LargeBinary(), nullable=True),
        sa.Column("key_id", sa.String(length=16), nullable=True),
        sa.Column("register", sa.Boolean(), nullable=False),
        sa.Column("prefixes", sa.Text(), nullable=False),
        sa.Column("sources", sa.Text(), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=True),
        sa.Column("number_format", sa.String(length=12), nullable=False),
        sa.Column("dialled_in", sa.String(length=16), nullable=False),
        sa.Column("caller_in", sa.String(length=12), nullable=False),
        sa.Column("dtmf", sa.String(length=12), nullable=False),
        sa.Column("disabled_us", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trunks")),
        sa.UniqueConstraint("name", name=op.f("uq_trunks_name")),
    )
