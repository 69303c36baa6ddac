"""Connections: URL forms, drivers, and what every SQLite connection is told first."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from voiceblocks.errors import StartupError

BUSY_TIMEOUT_MS = 5000
"How long a writer waits for another process (the command line, a backup)."
MIGRATION_TIMEOUT_MS = 120_000
"How long who looks at the schema waits for whoever upgrades a large database."

# RETURNING; Debian 12 has 3.40.
_OLDEST_SQLITE = (3, 35, 0)


def parse_url(url: str) -> URL:
    """
    Return `url` with the driver that we use.

    Raises:
        StartupError: If it is neither `sqlite:///PATH` nor `postgresql://…`.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        # The text of the URL stays out of the message: it may hold a password.
        raise StartupError(
            "DATABASE_URL cannot be read; use sqlite:////absolute/path or postgresql://…"
        ) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed.set(drivername="sqlite+pysqlite")
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise StartupError(
        "DATABASE_URL must be sqlite:////absolute/path (a file) or postgresql://…, "
        f"not {parsed.drivername}."
    )


def sqlite_path(url: str) -> Path | None:
    """
    Return the file of a SQLite URL, `None` for PostgreSQL.

    Raises:
        StartupError: As `parse_url`.
    """
    parsed = parse_url(url)
    is_file = parsed.get_backend_name() == "sqlite"
    return Path(parsed.database or "") if is_file else None


def open_engine(
    url: URL, pool_size: int = 1, *, for_migration: bool = False, only_reads: bool = False
) -> Engine:
    """
    Return an engine for a URL from `parse_url`; the caller disposes of it.

    For a migration, SQLite does not enforce foreign keys: altering a table there means
    to copy and drop it, and `PRAGMA foreign_key_check` at the end takes their place.

    SQLite connections belong to the thread that opened them. Their transactions all
    begin with BEGIN IMMEDIATE: one that began by reading and then wants to write would
    fail at once when another process wrote meanwhile, however long the busy timeout.
    With `only_reads` they see what was committed when they began, wait for no writer, and a
    change raises (SQLite; PostgreSQL's readers wait for nobody anyway).

    Raises:
        StartupError: If SQLite is too old, or psycopg is not installed.
    """
    if url.get_backend_name() == "sqlite":
        return _open_sqlite(url, enforces_foreign_keys=not for_migration, only_reads=only_reads)
    try:
        return create_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=True,
            hide_parameters=True,
        )
    except ModuleNotFoundError as error:
        raise StartupError(
            "PostgreSQL needs one more package: pip install 'voiceblocks[postgres]'"
        ) from error


def _open_sqlite(url: URL, *, enforces_foreign_keys: bool, only_reads: bool) -> Engine:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StartupError(
            f"SQLite {sqlite3.sqlite_version} is too old; "
            f"{'.'.join(map(str, _OLDEST_SQLITE))} or newer is needed."
        )
    _make_private_file(str(url.database))
    engine = create_engine(
        url,
        poolclass=NullPool,
        # The text of an error would quote tokens, numbers and links into the log.
        hide_parameters=True,
        # The driver itself begins nothing: what is listened to below is the only begin.
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "isolation_level": None},
    )
    event.listen(engine, "connect", _set_pragmas)
    if not enforces_foreign_keys:
        event.listen(engine, "connect", _prepare_to_migrate)
    if only_reads:
        event.listen(engine, "connect", _refuse_changes)
    event.listen(engine, "begin", _begin_to_read if only_reads else _begin_immediate)
    return engine


def _make_private_file(path: str) -> None:
    """Create an empty database that only its owner reads; WAL and shm inherit its mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StartupError(
            f"The database {path} cannot be opened: {error.strerror or error}."
        ) from error


def _set_pragmas(connection: sqlite3.Connection, _record: Any) -> None:
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        # NORMAL would survive kill -9, but lose the last commits with the machine's power.
        "synchronous=FULL",
        "foreign_keys=ON",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _prepare_to_migrate(connection: sqlite3.Connection, _record: Any) -> None:
    # Has an effect only outside a transaction, so it cannot wait for the migration's own.
    connection.execute("PRAGMA foreign_keys=OFF").close()
    connection.execute(f"PRAGMA busy_timeout={MIGRATION_TIMEOUT_MS}").close()


def _refuse_changes(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA query_only=ON").close()


def _begin_to_read(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
