"""Bring a database to the schema of this version, or say why that cannot be.

There is no way back: an older Voiceblocks refuses a newer schema, and the backup
made before the upgrade is the way to return.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from voiceblocks.database.engines import open_engine, parse_url
from voiceblocks.errors import StartupError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0012"
"""The newest migration. Known here, so that a database that is current costs no Alembic: its
import takes 0.3 s of every command's start."""

_MIGRATIONS = Path(__file__).parent / "migrations"
# Any number that nobody else takes: two nodes that start together migrate one by one.
_ADVISORY_LOCK = 0x766F6963


class SchemaState(StrEnum):
    """How a database's schema compares with ours."""

    EMPTY = "empty"
    OLDER = "older"
    CURRENT = "current"


def upgrade(url: str) -> None:
    """
    Create or migrate all tables in one transaction; nothing to do is fine.

    Raises:
        StartupError: If the database cannot be reached, or its schema is newer than ours.
    """
    with _transaction(url) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
        if not _is_at_head(connection) and _state_of(connection) is not SchemaState.CURRENT:
            from alembic import command

            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            _check_references(connection)


def make_tables(url: str) -> SchemaState:
    """
    Make the tables of an empty database; one of an older version stays as it is.

    Returns:
        `CURRENT`, or `OLDER`.

    Raises:
        StartupError: As `upgrade`.
    """
    with _transaction(url) as connection:
        found = SchemaState.CURRENT if _is_at_head(connection) else _state_of(connection)
    if found is not SchemaState.EMPTY:
        return found
    upgrade(url)
    return SchemaState.CURRENT


def check_schema(url: str) -> SchemaState:
    """
    Compare the database's schema with ours and change nothing.

    Raises:
        StartupError: If the database cannot be reached, or its schema is newer than ours.
    """
    with _transaction(url) as connection:
        return _state_of(connection)


@contextmanager
def _transaction(url: str) -> Iterator[Connection]:
    parsed = parse_url(url)
    engine = open_engine(parsed, for_migration=True)
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        # The driver's own words, not SQLAlchemy's: those may quote statements and values.
        raise StartupError(
            f"The database {parsed.render_as_string(hide_password=True)} "
            f"cannot be used: {error.orig}"
        ) from error
    finally:
        engine.dispose()


def _check_references(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise StartupError(
            f"The upgrade was undone: a row of {broken[0]} would lack its row of {broken[2]}."
        )


def _is_at_head(connection: Connection) -> bool:
    if not inspect(connection).has_table("alembic_version"):
        return False
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
    return list(found) == [HEAD]


def _state_of(connection: Connection) -> SchemaState:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(_config())
    found = MigrationContext.configure(connection).get_current_heads()
    known = {revision.revision for revision in script.walk_revisions()}
    unknown = sorted(set(found) - known)
    if unknown:
        raise StartupError(
            f"The database was made by a newer Voiceblocks (schema {', '.join(unknown)}, "
            f"this one knows up to {script.get_current_head()}); "
            "install that version, or restore a backup of this one."
        )
    if not found:
        return SchemaState.EMPTY
    return SchemaState.CURRENT if set(found) == set(script.get_heads()) else SchemaState.OLDER


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    # Percent signs are ConfigParser's; a path may hold them.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config
