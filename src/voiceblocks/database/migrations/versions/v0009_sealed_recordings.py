"""A public key for which an application's recordings are sealed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; nobody's recordings are sealed."""
    with op.batch_alter_table("applications") as applications:
        applications.add_column(sa.Column("seal_for", sa.LargeBinary(), nullable=True))
