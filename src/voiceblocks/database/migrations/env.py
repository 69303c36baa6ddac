"""Run by Alembic for every command; `migrate.py` hands over the open connection."""

from __future__ import annotations

from alembic import context

from voiceblocks.database.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    # SQLite cannot alter most of a table: later migrations copy it.
    render_as_batch=connection.dialect.name == "sqlite",
)
context.run_migrations()
