"""Drivers are chosen by us, and every SQLite connection is set up the same way."""

from __future__ import annotations

from pathlib import Path

import pytest

from voiceblocks.database import engines
from voiceblocks.database.engines import open_engine, parse_url
from voiceblocks.errors import StartupError


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:////tmp/a.db", "sqlite+pysqlite"),
        ("postgresql://user:pw@host:5/name", "postgresql+psycopg"),
        ("postgres://host/name", "postgresql+psycopg"),
        ("postgresql+psycopg2://host/name", "postgresql+psycopg"),
    ],
)
def test_driver_is_ours(url: str, driver: str) -> None:
    """Whatever driver a URL names or leaves open."""
    assert parse_url(url).drivername == driver


def test_unreadable_url_is_not_repeated() -> None:
    """A URL may hold a password, so the sentence leaves it out."""
    with pytest.raises(StartupError) as caught:
        parse_url("//user:hunter2@host")
    assert "hunter2" not in str(caught.value)


def test_sqlite_connection_is_set_up(tmp_path: Path) -> None:
    """Write-ahead log, full sync, foreign keys, patience; the files are the owner's alone."""
    path = tmp_path / "a.db"
    engine = open_engine(parse_url(f"sqlite:///{path}"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n INTEGER)")
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    engine.dispose()
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": engines.BUSY_TIMEOUT_MS,
    }
    assert modes == {"a.db": 0o600, "a.db-wal": 0o600, "a.db-shm": 0o600}


def test_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that knows no RETURNING is told so at the start."""
    monkeypatch.setattr(engines.sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(StartupError, match=r"too old; 3\.35\.0 or newer"):
        open_engine(parse_url(f"sqlite:///{tmp_path}/a.db"))


def test_missing_driver_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL without its package says what to install."""

    def no_driver(*_arguments: object, **_options: object) -> None:
        raise ModuleNotFoundError("No module named 'psycopg'")

    monkeypatch.setattr(engines, "create_engine", no_driver)
    with pytest.raises(StartupError, match=r"pip install 'voiceblocks\[postgres\]'"):
        open_engine(parse_url("postgresql://host/name"))
