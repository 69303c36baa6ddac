"""What the audio of recordings is like, and what they are to become."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns; older recordings are plain, and nothing is known of their audio."""
    with op.batch_alter_table("recordings") as recordings:
        recordings.add_column(sa.Column("absent_ms", sa.BigInteger(), nullable=True))
        recordings.add_column(sa.Column("silent_ms", sa.BigInteger(), nullable=True))
        recordings.add_column(sa.Column("level_dbfs", sa.Float(), nullable=True))
        recordings.add_column(sa.Column("is_one_way", sa.Boolean(), nullable=True))
    _add_choice("recordings", "trims_silence")
    _add_choice("recordings", "silences_keys")
    _add_choice("applications", "silences_keys")


def _add_choice(table: str, name: str) -> None:
    # The default is for the rows that there are; new ones always say what they are.
    with op.batch_alter_table(table) as altered:
        altered.add_column(sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table(table) as altered:
        altered.alter_column(name, server_default=None, existing_type=sa.Boolean())
