"""Keeping recordings: uploads that follow, revoked and used links, holds, quotas, deletions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add tables and columns; what there is keeps its meaning."""
    _add_columns()
    _create_tables()


def _add_columns() -> None:
    with op.batch_alter_table("accounts") as accounts:
        accounts.add_column(sa.Column("recordings_quota_bytes", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("applications") as applications:
        applications.add_column(sa.Column("keep_recordings_days", sa.Integer(), nullable=True))
    # The default is for the rows that there are; new ones always say what they are.
    with op.batch_alter_table("recordings") as recordings:
        recordings.add_column(sa.Column("limit_s", sa.Integer(), nullable=True))
        recordings.add_column(
            sa.Column("link_revision", sa.Integer(), nullable=False, server_default="0")
        )
        recordings.add_column(sa.Column("held_us", sa.BigInteger(), nullable=True))
        recordings.add_column(sa.Column("uploaded_us", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("recordings") as recordings:
        recordings.alter_column("link_revision", server_default=None, existing_type=sa.Integer())
    op.create_index(
        op.f("ix_recordings_app_id_state_ready_us"), "recordings", ["app_id", "state", "ready_us"]
    )


def _create_tables() -> None:
    op.create_table(
        "store_tasks",
        sa.Column("recording_id", sa.String(length=48), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("node", sa.String(length=16), nullable=False),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.Column("next_attempt_us", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        _of_recording("store_tasks"),
        sa.PrimaryKeyConstraint("recording_id", name=op.f("pk_store_tasks")),
    )
    op.create_index(
        op.f("ix_store_tasks_node_next_attempt_us"), "store_tasks", ["node", "next_attempt_us"]
    )
    op.create_table(
        "recording_acts",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("recording_id", sa.String(length=48), nullable=False),
        sa.Column("act", sa.String(length=12), nullable=False),
        sa.Column("done_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        _of_recording("recording_acts"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recording_acts")),
    )
    op.create_index(
        op.f("ix_recording_acts_recording_id_at_us"), "recording_acts", ["recording_id", "at_us"]
    )
    op.create_table(
        "used_links",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("recording_id", sa.String(length=48), nullable=False),
        sa.Column("used_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_s", sa.BigInteger(), nullable=False),
        _of_recording("used_links"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_used_links")),
    )
    op.create_index(op.f("ix_used_links_expires_s"), "used_links", ["expires_s"])


def _of_recording(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["recording_id"], ["recordings.id"], name=op.f(f"fk_{table}_recording_id")
    )
