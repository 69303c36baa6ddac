"""The database and the server key, as commands use them beside a running server.

SQLite in WAL mode and PostgreSQL both take a second writer, and the server keeps no
copy of accounts, applications or numbers: a change takes effect with its commit.

No command but `upgrade` changes a schema: a server of the former version may run beside it,
and there is no way back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pydantic import ValidationError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.cli.output import fail
from voiceblocks.database.migrate import SchemaState, make_tables
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import StartupError, VoiceblocksError
from voiceblocks.settings import Settings, explain
from voiceblocks.workflows.open_key import open_key

T = TypeVar("T")


class Store:
    """An open database with the node's settings and key."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database

    def run(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn` in one transaction."""
        return self.database.run_sync(fn)

    def key(self) -> SecretKey:
        """The server key, made if there is none yet."""
        return open_key(self.database, self.settings.effective_secret_key_file)


@contextmanager
def open_store(as_json: bool) -> Iterator[Store]:
    """Open the database that the settings name; say what is wrong in one sentence."""
    try:
        settings = Settings()
        settings.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if make_tables(settings.effective_database_url) is SchemaState.OLDER:
            raise StartupError(
                "The database is of an older version: make a backup, stop the server, and then "
                "`voiceblocks upgrade`"
            )
        database = Database(settings.effective_database_url)
    except ValidationError as error:
        fail(as_json, "; ".join(explain(error)))
    except (VoiceblocksError, OSError) as error:
        fail(as_json, error)
    try:
        yield Store(settings, database)
    except (ValueError, OSError, VoiceblocksError) as error:
        fail(as_json, error)
    except DBAPIError as error:
        # The driver's own words: SQLAlchemy's quote the statement.
        fail(as_json, f"The database did not take it: {error.orig}")
    finally:
        database.close()
