"""Every database test runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import fresh_sqlite
from voiceblocks.database.unit_of_work import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with tables and nothing in them, closed after the test."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_url(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A fresh, migrated SQLite database, for what only SQLite does."""
    return fresh_sqlite(tmp_path, tmp_path_factory)
