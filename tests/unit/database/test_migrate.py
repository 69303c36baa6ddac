"""The migrations make exactly `schema.py`, and a newer schema is refused in a sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from tests.unit.database.nouns import an_account, seed
from voiceblocks.database import accounts, migrate
from voiceblocks.database.engines import open_engine, parse_url
from voiceblocks.database.migrate import SchemaState, check_schema, upgrade
from voiceblocks.database.schema import metadata
from voiceblocks.database.unit_of_work import Database
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


SECOND_MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    with op.batch_alter_table("accounts") as accounts:
        accounts.add_column(sa.Column("colour", sa.Text()))
        accounts.alter_column("name", type_=sa.String(200), existing_nullable=False)
"""


def test_older_schema_is_upgraded_with_its_data(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next version migrates a database in use, and this one then refuses it."""
    database = Database(database_url)
    database.run_sync(seed)
    database.close()

    later = tmp_path / "migrations"
    shutil.copytree(migrate._MIGRATIONS, later)
    (later / "versions" / "v0002_colours.py").write_text(SECOND_MIGRATION)
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "_MIGRATIONS", later)
        assert check_schema(database_url) is SchemaState.OLDER
        upgrade(database_url)
        assert check_schema(database_url) is SchemaState.CURRENT
    with pytest.raises(StartupError, match=r"schema 0002, this one knows up to 0001"):
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
    loses_rows = SECOND_MIGRATION + "    op.execute('DELETE FROM accounts')\n"
    (later / "versions" / "v0002_loss.py").write_text(loses_rows)
    monkeypatch.setattr(migrate, "_MIGRATIONS", later)
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
