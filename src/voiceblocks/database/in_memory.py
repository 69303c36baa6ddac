"""A database in this process's memory, without threads: for simulations."""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import StaticPool

from voiceblocks.database.migrate import upgrade
from voiceblocks.database.unit_of_work import Database

T = TypeVar("T")


@functools.cache
def _empty_image() -> bytes:
    """A database with our newest schema and nothing in it, made once in a process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "schema.db"
        upgrade(f"sqlite:///{path}")
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            # A write-ahead log lies beside its file, and memory has no beside.
            connection.execute("PRAGMA journal_mode=DELETE").close()
            return connection.serialize()


class InMemoryDatabase(Database):
    """
    As `Database` with SQLite, but a function runs on the loop, in its next round.

    Belongs to one thread. What it holds goes with it.
    """

    def __init__(self) -> None:
        self._engine = create_engine(
            "sqlite+pysqlite://", creator=_open, poolclass=StaticPool, hide_parameters=True
        )
        event.listen(self._engine, "begin", _begin)
        self._connection = self._engine.connect()

    async def run(self, fn: Callable[[Connection], T]) -> T:
        """
        See `Database.run`.

        Raises:
            BaseException: Whatever `fn` raised; its changes are undone.
        """
        # Not at once: who asks must not find that time for others never passes.
        await asyncio.sleep(0)
        return self.run_sync(fn)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """See `Database.read`; here it is as `run`."""
        return await self.run(fn)

    def run_sync(self, fn: Callable[[Connection], T]) -> T:
        """The same, at once."""
        with self._connection.begin():
            return fn(self._connection)

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()
        self._engine.dispose()


def _open() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(_empty_image())
    connection.execute("PRAGMA foreign_keys=ON").close()
    return connection


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
