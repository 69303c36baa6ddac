"""How long recordings were paused, and which accounts and numbers are disabled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns: earlier recordings were never paused, and nothing is disabled."""
    with op.batch_alter_table("recordings") as recordings:
        recordings.add_column(sa.Column("paused_ms", sa.BigInteger(), nullable=True))
    for table in ("accounts", "numbers"):
        with op.batch_alter_table(table) as altered:
            altered.add_column(sa.Column("disabled_us", sa.BigInteger(), nullable=True))
