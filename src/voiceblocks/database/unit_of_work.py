"""Transactions (decision 19): functions of a connection, run away from the event loop.

A workflow writes `await database.run(lambda connection: ...)`. The function calls
repositories, never commits and never waits for anything but the database. What it
returns reaches the workflow only after the commit, so whoever is told of a fact may
rely on it.

SQLite: one thread runs all functions. Those that wait when it becomes free share one
BEGIN IMMEDIATE … COMMIT. One that raises before it wrote leaves nothing to undo; where one
raises later, all are run again, each inside a savepoint of its own, so that it undoes its
own work and nothing else. What only reads has a thread and a connection of its own, so
that it waits for no commit. PostgreSQL: a few threads, a transaction for each
function; rows that are read to be changed are locked by the repositories'
`…_for_update`.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from voiceblocks.database.engines import open_engine, parse_url
from voiceblocks.errors import AdapterError, ContractViolation

T = TypeVar("T")

MAX_BATCH = 64
"Functions that share a commit at most: bounds how long the first of them waits."

POSTGRESQL_THREADS = 4

_MAX_ATTEMPTS = 5
# Serialization failure and deadlock: PostgreSQL asks to run the transaction again.
_RUN_AGAIN = frozenset({"40001", "40P01"})


class TransactionFailed(AdapterError):
    """The database did not begin or commit; nothing of it is stored. The cause is chained."""


@dataclass(slots=True)
class _Job(Generic[T]):
    """A function that waits for its transaction, and who waits for its result."""

    fn: Callable[[Connection], T]
    loop: asyncio.AbstractEventLoop | None
    "Loop of `waiter`; `None` where a thread waits."
    waiter: asyncio.Future[T] | Future[T]
    result: T | None = None
    error: BaseException | None = field(default=None)

    def run(self, connection: Connection) -> None:
        """Call the function; an exception is kept and raised."""
        self.result, self.error = None, None
        try:
            self.result = self.fn(connection)
        except StopIteration as error:
            # No future takes this one as an exception.
            self.error = RuntimeError("a transaction's function raised StopIteration")
            raise self.error from error
        except BaseException as error:
            self.error = error
            raise

    def resolve(self) -> None:
        """Hand over the outcome; on the waiter's own loop, if it has one."""
        if self.waiter.done():
            return
        if self.error is not None:
            self.waiter.set_exception(self.error)
        else:
            self.waiter.set_result(cast("T", self.result))


_Queue: TypeAlias = "queue.SimpleQueue[_Job[Any] | None]"


class Database:
    """
    Runs functions of a connection in transactions.

    `benchmarks/database_commits.py` (seven statements, as for an accepted block) on two
    cores and ext4, SQLite with synchronous=FULL: 1,270 a second one after another (median
    0.7 ms), 2,200 with 8 callers, 2,500 with 64. synchronous=NORMAL was no faster beyond
    one caller, since commits are shared. PostgreSQL with fsync, while other work took
    half of the machine: 440 with 1 caller, 650 with many.

    Args:
        url: `sqlite:////absolute/path` or `postgresql://…`; the schema must be there
            already (`migrate.upgrade`).
        max_batch: Functions that share a commit at most (SQLite).
        threads: Transactions at the same time at most (PostgreSQL).

    Raises:
        StartupError: If the URL is none of ours.
    """

    def __init__(
        self, url: str, *, max_batch: int = MAX_BATCH, threads: int = POSTGRESQL_THREADS
    ) -> None:
        parsed = parse_url(url)
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        self._max_batch = max_batch
        self._engine = open_engine(parsed, pool_size=threads)
        self._queue: _Queue = queue.SimpleQueue()
        self._reader, self._reads = self._engine, self._queue
        # Orders submissions against `close`, so that no function is queued behind its end.
        self._gate = threading.Lock()
        self._is_closed = False
        if self._is_sqlite:
            self._reader, self._reads = open_engine(parsed, only_reads=True), queue.SimpleQueue()
            self._threads = [
                _thread("database-0", self._serve_batches, self._engine, self._queue),
                _thread("database-reads", self._serve_batches, self._reader, self._reads),
            ]
        else:
            self._threads = [_thread(f"database-{n}", self._serve_singly) for n in range(threads)]

    async def run(self, fn: Callable[[Connection], T]) -> T:
        """
        Run `fn` in a transaction and return its result after the commit.

        A caller that is cancelled before `fn` started leaves nothing behind; one that is
        cancelled later does not stop it: the transaction is then committed unobserved.

        Args:
            fn: Uses only the connection. It may be run again from the start (after a
                deadlock, or because of another function that shares its commit), so it
                must have no effect anywhere else.

        Raises:
            TransactionFailed: If the transaction could not begin or commit.
            ContractViolation: If the database was closed.
            BaseException: Whatever `fn` raised; its changes are undone.
        """
        return await self._ask(self._queue, fn)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """
        Run `fn`, which changes nothing, and return its result.

        It sees everything whose `run` has returned, and one state of the database from its
        first look to its last. On SQLite it waits for no commit.

        Args:
            fn: Uses only the connection; as for `run`.

        Raises:
            TransactionFailed, ContractViolation, BaseException: As `run`. On SQLite a change
                raises SQLAlchemy's OperationalError.
        """
        return await self._ask(self._reads, fn)

    def run_sync(self, fn: Callable[[Connection], T]) -> T:
        """Do as `run` from a thread without an event loop (the command line)."""
        waiter: Future[T] = Future()
        self._submit(self._queue, _Job(fn, None, waiter))
        return waiter.result()

    def close(self) -> None:
        """Commit what is queued, end the threads and close the connections. Blocks briefly."""
        with self._gate:
            if self._is_closed:
                return
            self._is_closed = True
            for _ in self._threads:
                self._queue.put(None)
                self._reads.put(None)
        for thread in self._threads:
            thread.join()
        self._engine.dispose()
        self._reader.dispose()

    async def _ask(self, where: _Queue, fn: Callable[[Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        self._submit(where, _Job(fn, loop, waiter))
        return await waiter

    def _submit(self, where: _Queue, job: _Job[Any]) -> None:
        with self._gate:
            if self._is_closed:
                raise ContractViolation("the database is closed")
            where.put(job)

    # SQLite

    def _serve_batches(self, engine: Engine, waiting: _Queue) -> None:
        connection: Connection | None = None
        at_end = False
        while not at_end:
            jobs, at_end = self._next_batch(waiting)
            jobs = [job for job in jobs if not job.waiter.done()]
            if jobs:
                connection = self._run_batch(engine, connection, jobs)
                _resolve(jobs)
        if connection is not None:
            connection.close()

    def _next_batch(self, waiting: _Queue) -> tuple[list[_Job[Any]], bool]:
        """Wait for a job, take what else is there; the flag says that nothing will follow."""
        jobs: list[_Job[Any]] = []
        job = waiting.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == self._max_batch:
                return jobs, False
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _run_batch(
        self, engine: Engine, connection: Connection | None, jobs: Sequence[_Job[Any]]
    ) -> Connection | None:
        """
        Run all jobs in one transaction; afterwards each has its outcome.

        Returns:
            The connection for the next batch, `None` if this one is of no more use.
        """
        try:
            if connection is None:
                connection = engine.connect()
            try:
                with connection.begin():
                    _run_together(connection, jobs)
            except _WroteBeforeItFailed:
                with connection.begin():
                    _run_in_savepoints(connection, jobs)
        except BaseException as error:  # noqa: BLE001 - handed to everybody who waits
            if len(jobs) == 1 and error is jobs[0].error:
                return connection
            _fail(jobs, error)
            if connection is not None:
                with contextlib.suppress(Exception):
                    connection.invalidate()
                    connection.close()
            return None
        return connection

    # PostgreSQL

    def _serve_singly(self) -> None:
        while (job := self._queue.get()) is not None:
            if not job.waiter.done():
                self._run_single(job)
                _resolve([job])

    def _run_single(self, job: _Job[Any]) -> None:
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            try:
                with self._engine.begin() as connection:
                    job.run(connection)
            except BaseException as error:  # noqa: BLE001 - handed to who waits
                if attempt < _MAX_ATTEMPTS and _is_to_run_again(error):
                    continue
                if error is not job.error:
                    _fail([job], error)
            return


def _thread(name: str, target: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
    thread.start()
    return thread


class _WroteBeforeItFailed(Exception):
    """One function of a batch left changes behind that must not be committed."""


def _run_together(connection: Connection, jobs: Sequence[_Job[Any]]) -> None:
    if len(jobs) == 1:
        jobs[0].run(connection)
        return
    driver = cast("sqlite3.Connection", connection.connection.dbapi_connection)
    for job in jobs:
        before = driver.total_changes
        with contextlib.suppress(BaseException):
            job.run(connection)
        if not driver.in_transaction:
            # A full disk makes SQLite roll back by itself; what came next would commit alone.
            raise TransactionFailed("the database gave the transaction up") from job.error
        if job.error is not None and driver.total_changes != before:
            raise _WroteBeforeItFailed from job.error


# Not `begin_nested`, which names each one anew: SQLAlchemy then compiles two statements for
# each function, a fifth of what an accepted block cost.
_SAVE, _UNDO, _RELEASE = "SAVEPOINT job", "ROLLBACK TO job", "RELEASE job"


def _run_in_savepoints(connection: Connection, jobs: Sequence[_Job[Any]]) -> None:
    # What the savepoint's own statements raise goes on: then the transaction is gone (a full
    # disk makes SQLite roll back), and the whole batch with it.
    for job in jobs:
        connection.exec_driver_sql(_SAVE)
        try:
            job.run(connection)
        except BaseException:  # noqa: BLE001 - the job keeps it, for who waits
            connection.exec_driver_sql(_UNDO)
        connection.exec_driver_sql(_RELEASE)


def _is_to_run_again(error: BaseException) -> bool:
    return (
        isinstance(error, DBAPIError)
        and error.orig is not None
        and getattr(error.orig, "sqlstate", None) in _RUN_AGAIN
    )


def _fail(jobs: Sequence[_Job[Any]], cause: BaseException) -> None:
    for job in jobs:
        if job.error is not None:
            continue
        # One exception each: it collects the traceback of who receives it.
        failure = TransactionFailed("the database did not take the transaction")
        failure.__cause__ = cause
        job.error = failure


def _resolve(jobs: Sequence[_Job[Any]]) -> None:
    """Hand over outcomes: one wake-up for all jobs of a loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job[Any]]] = {}
    for job in jobs:
        if job.loop is None:
            job.resolve()
        else:
            by_loop.setdefault(job.loop, []).append(job)
    for loop, resolved in by_loop.items():
        # A loop that was closed meanwhile has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve_all, resolved)


def _resolve_all(jobs: Sequence[_Job[Any]]) -> None:
    for job in jobs:
        job.resolve()
