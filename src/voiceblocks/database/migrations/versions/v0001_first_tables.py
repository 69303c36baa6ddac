"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("credit", sa.BigInteger(), nullable=False),
        sa.Column("max_calls", sa.Integer(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
    )
    op.create_table(
        "tariffs",
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("prefix", sa.String(length=20), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("rate", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("direction", "prefix", "currency", name=op.f("pk_tariffs")),
    )
    op.create_table(
        "applications",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revoked_us", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_applications_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_applications")),
    )
    op.create_table(
        "access_tokens",
        sa.Column("lookup", sa.LargeBinary(length=32), nullable=False),
        sa.Column("app_id", sa.String(length=16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=True),
        sa.Column("revoked_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id"], ["applications.id"], name=op.f("fk_access_tokens_app_id")
        ),
        sa.PrimaryKeyConstraint("lookup", name=op.f("pk_access_tokens")),
    )
    op.create_index(
        op.f("ix_access_tokens_app_id_created_us"), "access_tokens", ["app_id", "created_us"]
    )
    op.create_table(
        "numbers",
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("app_id", sa.String(length=16), nullable=False),
        sa.Column("notify_url", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["applications.id"], name=op.f("fk_numbers_app_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_numbers")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("txn_ref", sa.String(length=48), nullable=False),
        sa.Column("node", sa.String(length=16), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("app_id", sa.String(length=16), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("from_number", sa.String(length=64), nullable=False),
        sa.Column("to_number", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("last_block", sa.String(length=12), nullable=False),
        sa.Column("last_notify_url", sa.Text(), nullable=True),
        sa.Column("last_tag", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=32), nullable=True),
        sa.Column("notification_count", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("rate", sa.BigInteger(), nullable=False),
        sa.Column("debit", sa.BigInteger(), nullable=True),
        sa.Column("duration_min", sa.Integer(), nullable=True),
        sa.Column("disposition", sa.String(length=12), nullable=True),
        sa.Column("dialog", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("answered_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_sessions_account_id")
        ),
        sa.ForeignKeyConstraint(["app_id"], ["applications.id"], name=op.f("fk_sessions_app_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("txn_ref", name=op.f("uq_sessions_txn_ref")),
    )
    op.create_index(
        op.f("ix_sessions_account_id_created_us"), "sessions", ["account_id", "created_us"]
    )
    op.create_index(op.f("ix_sessions_account_id_state"), "sessions", ["account_id", "state"])
    op.create_index(op.f("ix_sessions_state_node"), "sessions", ["state", "node"])
    op.create_table(
        "block_runs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("session_id", sa.String(length=48), nullable=False),
        sa.Column("block", sa.String(length=12), nullable=False),
        sa.Column("notify_url", sa.Text(), nullable=True),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("recording_id", sa.String(length=48), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("finished_us", sa.BigInteger(), nullable=True),
        sa.Column("end_reason", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_block_runs_session_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block_runs")),
    )
    op.create_index(
        op.f("ix_block_runs_session_id_created_us"), "block_runs", ["session_id", "created_us"]
    )
    op.create_table(
        "charges",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("session_id", sa.String(length=48), nullable=False),
        sa.Column("account_id", sa.String(length=32), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_charges_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_charges_session_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charges")),
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("session_id", sa.String(length=48), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("app_id", sa.String(length=16), nullable=False),
        sa.Column("block", sa.String(length=12), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("lasting", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.Column("first_attempt_us", sa.BigInteger(), nullable=True),
        sa.Column("next_attempt_us", sa.BigInteger(), nullable=False),
        sa.Column("claimed_until_us", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("settled_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id"], ["applications.id"], name=op.f("fk_notifications_app_id")
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_notifications_session_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        sa.UniqueConstraint(
            "session_id", "sequence", name=op.f("uq_notifications_session_id_sequence")
        ),
    )
    op.create_index(
        op.f("ix_notifications_state_next_attempt_us"),
        "notifications",
        ["state", "next_attempt_us"],
    )
    op.create_table(
        "recordings",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("session_id", sa.String(length=48), nullable=False),
        sa.Column("app_id", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("end_reason", sa.String(length=16), nullable=True),
        sa.Column("object_name", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("packets_expected", sa.BigInteger(), nullable=True),
        sa.Column("packets_received", sa.BigInteger(), nullable=True),
        sa.Column("packets_late", sa.BigInteger(), nullable=True),
        sa.Column("packets_lost", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("ready_us", sa.BigInteger(), nullable=True),
        sa.Column("deleted_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["app_id"], ["applications.id"], name=op.f("fk_recordings_app_id")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_recordings_session_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recordings")),
        sa.UniqueConstraint("object_name", name=op.f("uq_recordings_object_name")),
    )
    op.create_index(op.f("ix_recordings_session_id"), "recordings", ["session_id"])
    op.create_index(op.f("ix_recordings_state"), "recordings", ["state"])
    op.create_table(
        "notification_attempts",
        sa.Column("notification_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["notification_id"],
            ["notifications.id"],
            name=op.f("fk_notification_attempts_notification_id"),
        ),
        sa.PrimaryKeyConstraint("notification_id", "number", name=op.f("pk_notification_attempts")),
    )
