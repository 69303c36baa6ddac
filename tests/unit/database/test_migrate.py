"""The migrations make exactly `schema.py`, and a newer schema is refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from voiceblocks.database.engines import open_engine, parse_url
from voiceblocks.database.migrate import SchemaState, check_schema, upgrade
from voiceblocks.database.schema import metadata
from voiceblocks.errors import StartupError


def test_migrated_database_equals_the_schema(database_url: str) -> None:
    """All migrations together make the tables that schema.py describes, no more, no less."""
    engine = open_engine(parse_url(database_url))
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_upgrade_of_a_current_database_changes_nothing(database_url: str) -> None:
    """Starting twice is fine."""
    assert check_schema(database_url) is SchemaState.CURRENT
    upgrade(database_url)
    assert check_schema(database_url) is SchemaState.CURRENT


def test_new_sqlite_file_is_empty_and_then_current(tmp_path: Path) -> None:
    """A first start finds nothing and makes everything, also at a path with odd characters."""
    url = f"sqlite:///{tmp_path}/50% of it.db"
    assert check_schema(url) is SchemaState.EMPTY
    upgrade(url)
    assert check_schema(url) is SchemaState.CURRENT


def test_newer_schema_is_refused(database_url: str) -> None:
    """A database of a later version stops the start with a sentence, in both functions."""
    engine = open_engine(parse_url(database_url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    for function in (check_schema, upgrade):
        with pytest.raises(StartupError, match=r"made by a newer Voiceblocks \(schema 9999"):
            function(database_url)


def test_unreachable_database_is_a_startup_error(tmp_path: Path) -> None:
    """A server that is not there gives a sentence without the password."""
    url = f"postgresql://someone:hunter2@/none?host={tmp_path}"
    with pytest.raises(StartupError, match="cannot be used") as caught:
        check_schema(url)
    assert "hunter2" not in str(caught.value)


def test_file_that_is_no_database_is_a_startup_error(tmp_path: Path) -> None:
    """Garbage in the place of the database is named, not traced."""
    path = tmp_path / "voiceblocks.db"
    path.write_bytes(b"this is not a database, whatever it is called" * 100)
    with pytest.raises(StartupError, match="file is not a database"):
        upgrade(f"sqlite:///{path}")
