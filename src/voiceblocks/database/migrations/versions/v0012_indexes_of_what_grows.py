"""Indexes for numbers, the stock of numbers and recordings, of which there may be very many."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_LONGER = (
    ("number_stock", ("country", "state", "number"), "free_from_us"),
    ("recordings", ("app_id", "state", "ready_us"), "size_bytes"),
)


def upgrade() -> None:
    """Add two, and put one more column into two others."""
    op.create_index(op.f("ix_applications_account_id"), "applications", ["account_id"])
    op.create_index(op.f("ix_numbers_app_id_number"), "numbers", ["app_id", "number"])
    for table, columns, more in _LONGER:
        op.drop_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table)
        longer = [*columns, more]
        op.create_index(op.f(f"ix_{table}_{'_'.join(longer)}"), table, longer)
