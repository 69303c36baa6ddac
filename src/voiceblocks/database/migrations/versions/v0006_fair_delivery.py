"""Notifications are claimed by host; URLs that are gone are stopped."""

from __future__ import annotations

from urllib.parse import urlsplit

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# As in `notifications.retry`, which later versions of it may change.
_NEVER_US = 2**62


def upgrade() -> None:
    """Add columns, indexes and the table; order what is pending."""
    with op.batch_alter_table("notifications") as table:
        table.add_column(sa.Column("host", sa.Text(), nullable=False, server_default=""))
        table.add_column(
            sa.Column("urgent", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        table.add_column(
            sa.Column("attempts_before", sa.Integer(), nullable=False, server_default="0")
        )
    with op.batch_alter_table("notifications") as table:
        table.alter_column("host", server_default=None, existing_type=sa.Text())
        table.alter_column("urgent", server_default=None, existing_type=sa.Boolean())
        table.alter_column("attempts_before", server_default=None, existing_type=sa.Integer())
    _order_what_is_pending()
    op.drop_index(op.f("ix_notifications_state_next_attempt_us"), "notifications")
    op.create_index(
        op.f("ix_notifications_state_host_urgent_next_attempt_us"),
        "notifications",
        ["state", "host", "urgent", "next_attempt_us"],
    )
    op.create_index(
        op.f("ix_notification_attempts_started_us"), "notification_attempts", ["started_us"]
    )
    op.create_table(
        "stopped_urls",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("app_id", sa.String(length=16), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("stopped_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id"], ["applications.id"], name=op.f("fk_stopped_urls_app_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stopped_urls")),
    )


def _order_what_is_pending() -> None:
    connection = op.get_bind()
    table = sa.table(
        "notifications",
        sa.column("id"),
        sa.column("session_id"),
        sa.column("sequence"),
        sa.column("state"),
        sa.column("url"),
        sa.column("host"),
        sa.column("next_attempt_us"),
    )
    # Hosts of settled ones, too: they can be sent again.
    for row in connection.execute(sa.select(table.c.id, table.c.url)).all():
        connection.execute(table.update().where(table.c.id == row.id), {"host": _host_of(row.url)})
    earlier = table.alias("earlier")
    connection.execute(
        table.update()
        .where(
            table.c.state == "pending",
            sa.exists().where(
                earlier.c.session_id == table.c.session_id,
                earlier.c.sequence < table.c.sequence,
                earlier.c.state == "pending",
            ),
        )
        .values(next_attempt_us=_NEVER_US)
    )


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""
