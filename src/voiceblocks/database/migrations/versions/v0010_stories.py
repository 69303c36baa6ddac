"""Why calls ended, and what happened in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a table and two columns; of earlier calls nothing more is known than before."""
    with op.batch_alter_table("sessions") as sessions:
        sessions.add_column(sa.Column("end_cause", sa.String(20), nullable=True))
        sessions.add_column(sa.Column("end_status", sa.Integer(), nullable=True))
    op.create_table(
        "story_batches",
        sa.Column("session_id", sa.String(48), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("written_us", sa.BigInteger(), nullable=False),
        sa.Column("n_events", sa.Integer(), nullable=False),
        sa.Column("events", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="fk_story_batches_session_id"
        ),
        sa.PrimaryKeyConstraint("session_id", "number", name="pk_story_batches"),
    )
    op.create_index("ix_story_batches_written_us", "story_batches", ["written_us"])
