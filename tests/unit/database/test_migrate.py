"""The migrations make exactly `schema.py`, and a newer schema is refused in a sentence."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.unit.database.nouns import an_account, seed
from voiceblocks.database import (
    accounts,
    charges,
    engines,
    further_legs,
    ledger,
    migrate,
    recordings,
    sessions,
)
from voiceblocks.database.engines import open_engine, parse_url, sqlite_path
from voiceblocks.database.migrate import SchemaState, check_schema, upgrade
from voiceblocks.database.schema import metadata
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import StartupError
from voiceblocks.recordings.model import RecordingKind
from voiceblocks.sessions.model import SessionKind
from voiceblocks.sessions.state import SessionState
from voiceblocks.workflows.keep_books import check_books


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


def test_head_is_the_newest_migration() -> None:
    """The revision that is known without Alembic is the one that Alembic would go to."""
    script = ScriptDirectory.from_config(migrate._config())
    assert script.get_heads() == [migrate.HEAD]


def test_current_database_costs_no_alembic(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts on a current database does not wait for Alembic's import."""

    def never(*_args: object) -> None:
        raise AssertionError("Alembic was asked")

    monkeypatch.setattr(migrate, "_state_of", never)
    upgrade(sqlite_url)


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


NEXT_MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "9001"
down_revision = "HEAD"


def upgrade():
    with op.batch_alter_table("accounts") as accounts:
        accounts.add_column(sa.Column("colour", sa.Text()))
        accounts.alter_column("name", type_=sa.String(200), existing_nullable=False)
""".replace("HEAD", migrate.HEAD)


def test_older_schema_is_upgraded_with_its_data(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next version migrates a database in use, and this one then refuses it."""
    database = Database(database_url)
    database.run_sync(seed)
    database.close()

    later = tmp_path / "migrations"
    shutil.copytree(migrate._MIGRATIONS, later)
    (later / "versions" / "v9001_colours.py").write_text(NEXT_MIGRATION)
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "_MIGRATIONS", later)
        patch.setattr(migrate, "HEAD", "9001")
        assert check_schema(database_url) is SchemaState.OLDER
        upgrade(database_url)
        assert check_schema(database_url) is SchemaState.CURRENT
    with pytest.raises(StartupError, match=rf"schema 9001, this one knows up to {migrate.HEAD}"):
        upgrade(database_url)

    database = Database(database_url)
    columns = "SELECT name, credit, colour FROM accounts"
    rows = database.run_sync(lambda c: [tuple(row) for row in c.execute(text(columns))])
    assert rows == [(an_account().name, 100_000, None)]
    assert database.run_sync(lambda c: accounts.find_application(c, "app1")) is not None
    database.close()


def test_upgrade_that_breaks_references_is_undone(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite checks foreign keys only at the end of a migration, and then undoes all of it."""
    database = Database(sqlite_url)
    database.run_sync(seed)
    later = tmp_path / "migrations"
    shutil.copytree(migrate._MIGRATIONS, later)
    loses_rows = NEXT_MIGRATION + "    op.execute('DELETE FROM accounts')\n"
    (later / "versions" / "v9001_loss.py").write_text(loses_rows)
    monkeypatch.setattr(migrate, "_MIGRATIONS", later)
    monkeypatch.setattr(migrate, "HEAD", "9001")
    with pytest.raises(StartupError, match="a row of applications would lack its row of accounts"):
        upgrade(sqlite_url)
    assert check_schema(sqlite_url) is SchemaState.OLDER
    assert database.run_sync(lambda c: accounts.find_account(c, "acc_1")) == an_account()
    database.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.db"
    url: str = request.getfixturevalue("postgres_url")
    name = "test_empty"
    engine = open_engine(parse_url(url)).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return url.replace("/postgres?", f"/{name}?")


FIRST_VERSION_ROWS = """
INSERT INTO accounts VALUES ('acc_1', 'Zoë', 'SGD', 100000, NULL, 1);
INSERT INTO accounts VALUES ('acc_2', 'Owes', 'HKD', -1234567890123, NULL, 1);
INSERT INTO accounts VALUES ('acc_3', 'Nothing', 'SGD', 0, NULL, 1);
INSERT INTO applications VALUES ('app1', 'acc_1', 'Voicemail', NULL, 1);
INSERT INTO sessions VALUES ('S-1-a', 'AA-S-1-a', '1', 'acc_1', 'app1', 'inbound', '+6591234567',
    '+6531580000', 'waiting', 'record', NULL, '', NULL, 0, 'SGD', 20, NULL, NULL, NULL, NULL,
    1, 2, NULL);
INSERT INTO block_runs VALUES ('run_1', 'S-1-a', 'record', NULL, '', 'rec-1', 3, 4, 'hangup');
INSERT INTO recordings VALUES ('rec-1', 'S-1-a', 'app1', 'ready', 'hangup', 'rec-1.mp3', 1, 2,
    'ab', 3, 4, 5, 6, 7, 8, NULL);
INSERT INTO charges VALUES ('chg_1', 'S-1-a', 'acc_1', 20, 'SGD', 9)
"""


def test_first_version_is_upgraded_with_its_calls(empty_url: str) -> None:
    """Calls, recordings and charges of version 0.1 are there afterwards, and mean the same."""
    engine = open_engine(parse_url(empty_url), for_migration=True)
    with engine.begin() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in FIRST_VERSION_ROWS.split(";"):
            connection.execute(text(statement))
    upgrade(empty_url)
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()

    database = Database(empty_url)
    session = database.run_sync(lambda c: sessions.find(c, "S-1-a"))
    assert session is not None
    assert (session.kind, session.state, session.rate) == (
        SessionKind.IVR,
        SessionState.WAITING,
        20,
    )
    recording = database.run_sync(lambda c: recordings.find(c, "rec-1"))
    assert recording is not None
    assert (recording.kind, recording.ready_us) == (RecordingKind.RECORD, 8)
    assert len(database.run_sync(lambda c: charges.list_of_session(c, "S-1-a"))) == 1
    assert database.run_sync(lambda c: further_legs.list_of_session(c, "S-1-a")) == []
    # Every thousandth of every account is in the ledger, what is owed as well.
    assert database.run_sync(check_books) == []
    books = [
        database.run_sync(lambda c, name=name: ledger.balances(c, name).points)
        for name in ("acc_1", "acc_2", "acc_3")
    ]
    assert books == [100_000, -1_234_567_890_123, 0]
    with pytest.raises(DBAPIError, match="only grows"):
        database.run_sync(lambda c: c.execute(text("DELETE FROM ledger_entries")))
    database.close()


def test_who_comes_during_an_upgrade_waits_for_it(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large database is upgraded for longer than a writer waits for a commit."""
    path = sqlite_path(empty_url)
    if path is None:
        pytest.skip("PostgreSQL waits for its advisory lock")
    upgrade(empty_url)
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_MS", 1)
    with contextlib.closing(
        sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    ) as long_one:
        long_one.execute("BEGIN IMMEDIATE")
        ending = threading.Timer(0.2, long_one.rollback)
        ending.start()
        assert check_schema(empty_url) is SchemaState.CURRENT
        ending.join()


def test_nodes_that_start_together_migrate_once(empty_url: str) -> None:
    """Three processes upgrade an empty database at the same moment; all succeed."""
    program = "import sys; from voiceblocks.database.migrate import upgrade; upgrade(sys.argv[1])"
    processes = [
        subprocess.Popen([sys.executable, "-c", program, empty_url], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    outcomes = [(process.communicate()[1], process.returncode) for process in processes]
    assert outcomes == [(b"", 0)] * 3
    assert check_schema(empty_url) is SchemaState.CURRENT
