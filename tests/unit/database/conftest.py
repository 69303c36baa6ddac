"""Every database test runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import (  # noqa: F401 - fixtures
    _postgres_lifetime,
    _sqlite_template,
    database_url,
    postgres_url,
)
from voiceblocks.database.unit_of_work import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:  # noqa: F811
    """A database with tables and nothing in them, closed after the test."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:  # noqa: F811
    """A fresh, migrated SQLite database."""
    path = tmp_path / "group.db"
    path.write_bytes(_sqlite_template.read_bytes())
    return f"sqlite:///{path}"
