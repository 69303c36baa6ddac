"""Transactions: shared commits, failures that stay alone, results only after the commit."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, select
from sqlalchemy.exc import IntegrityError, OperationalError

from voiceblocks.accounts.model import Account
from voiceblocks.database import accounts, engines, schema
from voiceblocks.database.engines import open_engine, parse_url
from voiceblocks.database.unit_of_work import MAX_BATCH, Database, TransactionFailed
from voiceblocks.errors import ContractViolation, StartupError
from voiceblocks.ids import AccountId
from voiceblocks.money import Thousandths

WAIT_S = 30


def inserting(name: str) -> Callable[[Connection], str]:
    """A function that inserts an account and returns its id."""

    def insert(connection: Connection) -> str:
        account = Account(
            id=AccountId(name), name=name, currency="SGD", credit=Thousandths(0), created_us=1
        )
        accounts.insert_account(connection, account)
        return name

    return insert


def inserting_and_failing(name: str) -> Callable[[Connection], str]:
    """A function that inserts an account and then raises."""

    def insert(connection: Connection) -> str:
        inserting(name)(connection)
        raise LookupError(name)

    return insert


def stored(connection: Connection) -> set[str]:
    """The ids of all accounts."""
    return set(connection.scalars(select(schema.accounts.c.id)))


def stored_elsewhere(url: str) -> set[str]:
    """The ids of all accounts, seen by a connection of our own."""
    engine = open_engine(parse_url(url))
    with engine.connect() as connection:
        # In SQLite a reader needs no BEGIN, which would wait for the writer.
        rows = connection.connection.cursor()
        rows.execute("SELECT id FROM accounts")
        found = {row[0] for row in rows.fetchall()}
        rows.close()
    engine.dispose()
    return found


@asynccontextmanager
async def busy(database: Database) -> AsyncIterator[threading.Event]:
    """Occupy the database's thread until the event is set, at the latest at the end."""
    started, release = threading.Event(), threading.Event()

    def occupy(_connection: Connection) -> None:
        started.set()
        assert release.wait(WAIT_S)

    task = asyncio.create_task(database.run(occupy))
    assert await asyncio.to_thread(started.wait, WAIT_S)
    try:
        yield release
    finally:
        release.set()
        await task


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Database:
    """The same, opened; its daemon thread ends with the process at the latest."""
    return Database(sqlite_url)


async def test_result_and_commit(database: Database, database_url: str) -> None:
    """What the function returns comes back, and what it wrote is there for others."""
    assert await database.run(inserting("a")) == "a"
    assert stored_elsewhere(database_url) == {"a"}


async def test_exception_reaches_its_caller_and_undoes_its_work(
    database: Database, database_url: str
) -> None:
    """The very exception arrives, with nothing stored, and the database goes on."""
    with pytest.raises(LookupError, match="a"):
        await database.run(inserting_and_failing("a"))
    with pytest.raises(IntegrityError):
        await database.run(lambda c: (inserting("b")(c), inserting("b")(c)))
    assert stored_elsewhere(database_url) == set()
    await database.run(inserting("a"))
    assert stored_elsewhere(database_url) == {"a"}


async def test_one_failing_does_not_harm_others(database: Database, database_url: str) -> None:
    """Of 90 at once every third fails; the others are stored, each with its own answer."""
    answers = await asyncio.gather(
        *(
            database.run((inserting if n % 3 else inserting_and_failing)(f"a{n}"))
            for n in range(90)
        ),
        return_exceptions=True,
    )
    for n, answer in enumerate(answers):
        if n % 3:
            assert answer == f"a{n}"
        else:
            assert isinstance(answer, LookupError)
            assert str(answer) == f"a{n}"
    assert stored_elsewhere(database_url) == {f"a{n}" for n in range(90) if n % 3}


async def test_waiting_functions_share_commits(sqlite_database: Database, sqlite_url: str) -> None:
    """A hundred that wait for the thread need two commits, no more than 64 in each."""
    commits: list[int] = []
    event.listen(sqlite_database._engine, "commit", lambda _connection: commits.append(1))
    async with busy(sqlite_database) as release:
        tasks = [asyncio.create_task(sqlite_database.run(inserting(f"a{n}"))) for n in range(100)]
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(*tasks)
    assert MAX_BATCH == 64
    # One for the function that occupied the thread.
    assert len(commits) == 1 + 2
    assert len(stored_elsewhere(sqlite_url)) == 100
    sqlite_database.close()


async def test_results_come_only_after_the_commit(
    sqlite_database: Database, sqlite_url: str
) -> None:
    """When the commit begins, all functions have run and nobody was told, nothing is seen."""
    seen: list[tuple[int, set[str]]] = []
    tasks: list[asyncio.Task[str]] = []

    def look(_connection: Connection) -> None:
        seen.append((sum(task.done() for task in tasks), stored_elsewhere(sqlite_url)))

    async with busy(sqlite_database) as release:
        tasks += [asyncio.create_task(sqlite_database.run(inserting(f"a{n}"))) for n in range(5)]
        await asyncio.sleep(0)
        release.set()
        event.listen(sqlite_database._engine, "commit", look)
        await asyncio.gather(*tasks)
    assert seen[-1] == (0, set())
    assert len(stored_elsewhere(sqlite_url)) == 5
    sqlite_database.close()


async def test_failed_commit_fails_the_whole_batch(
    sqlite_database: Database, sqlite_url: str
) -> None:
    """Nobody is told of a fact that was not stored; the next transaction is fine."""
    async with busy(sqlite_database) as release:
        tasks = [asyncio.create_task(sqlite_database.run(inserting(f"a{n}"))) for n in range(3)]
        tasks.append(asyncio.create_task(sqlite_database.run(inserting_and_failing("a3"))))
        await asyncio.sleep(0)
        left = [1, 0]

        def fail(_connection: Connection) -> None:
            # The first commit is that of the function that occupies the thread.
            if left and not left.pop():
                return
            event.remove(sqlite_database._engine, "commit", fail)
            raise OSError("no space left on device")

        event.listen(sqlite_database._engine, "commit", fail)
        release.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [TransactionFailed] * 3 + [LookupError]
    assert len({id(answer) for answer in answers}) == 4
    assert all(isinstance(answer.__cause__, OSError) for answer in answers[:3])  # type: ignore[union-attr]
    assert stored_elsewhere(sqlite_url) == set()
    assert await sqlite_database.run(inserting("a0")) == "a0"
    assert stored_elsewhere(sqlite_url) == {"a0"}
    sqlite_database.close()


@pytest.mark.filterwarnings("ignore:An exception has occurred during handling")
@pytest.mark.parametrize("then_raises", [False, True])
async def test_lost_transaction_fails_the_whole_batch(
    sqlite_database: Database, sqlite_url: str, then_raises: bool
) -> None:
    """When SQLite itself rolled back (as on a full disk), nobody believes in a commit."""

    def lose(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")
        if then_raises:
            raise OSError("disk full")

    async with busy(sqlite_database) as release:
        before = asyncio.create_task(sqlite_database.run(inserting("before")))
        loser = asyncio.create_task(sqlite_database.run(lose))
        after = asyncio.create_task(sqlite_database.run(inserting("after")))
        await asyncio.sleep(0)
        release.set()
        answers = await asyncio.gather(before, loser, after, return_exceptions=True)
    assert isinstance(answers[0], TransactionFailed)
    assert isinstance(answers[1], OSError if then_raises else TransactionFailed)
    assert isinstance(answers[2], TransactionFailed)
    assert stored_elsewhere(sqlite_url) == set()
    assert await sqlite_database.run(inserting("next")) == "next"
    assert stored_elsewhere(sqlite_url) == {"next"}
    sqlite_database.close()


async def test_cancelled_before_its_turn_leaves_nothing(
    sqlite_database: Database, sqlite_url: str
) -> None:
    """A caller that gave up while waiting is skipped; its neighbours are not."""
    async with busy(sqlite_database) as release:
        tasks = [asyncio.create_task(sqlite_database.run(inserting(f"a{n}"))) for n in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0)
        release.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[0] == "a0"
    assert isinstance(answers[1], asyncio.CancelledError)
    assert answers[2] == "a2"
    assert stored_elsewhere(sqlite_url) == {"a0", "a2"}
    sqlite_database.close()


async def test_cancelled_while_running_is_committed(database: Database, database_url: str) -> None:
    """A function that began is finished and committed, though nobody waits any more."""
    started, release = threading.Event(), threading.Event()

    def slow(connection: Connection) -> str:
        started.set()
        assert release.wait(WAIT_S)
        return inserting("slow")(connection)

    task = asyncio.create_task(database.run(slow))
    assert await asyncio.to_thread(started.wait, WAIT_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    assert await database.run(inserting("next")) == "next"
    database.close()
    assert stored_elsewhere(database_url) == {"slow", "next"}


def test_loop_that_ended_meanwhile_does_no_harm(database: Database) -> None:
    """The database goes on when a loop closed before it could be told."""
    started, release = threading.Event(), threading.Event()

    def slow(_connection: Connection) -> None:
        started.set()
        assert release.wait(WAIT_S)

    async def leave() -> None:
        task = asyncio.create_task(database.run(slow))
        assert await asyncio.to_thread(started.wait, WAIT_S)
        task.cancel()

    asyncio.run(leave())
    release.set()
    assert database.run_sync(inserting("next")) == "next"


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.sampled_from(["store", "fail", "double", "cancel"]), max_size=12))
def test_any_mixture_stores_exactly_what_succeeded(database: Database, plan: list[str]) -> None:
    """Whatever stands beside it in its batch: stored if and only if its caller saw a result."""

    async def play() -> set[str]:
        tasks = []
        for n, deed in enumerate(plan):
            # "double" takes a name that the one before it may have taken.
            name = f"a{n - 1 if deed == 'double' else n}"
            function = inserting_and_failing if deed == "fail" else inserting
            tasks.append(asyncio.create_task(database.run(function(name))))
        await asyncio.sleep(0)
        for task, deed in zip(tasks, plan, strict=True):
            if deed == "cancel":
                task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(
            isinstance(answer, str | LookupError | IntegrityError | asyncio.CancelledError)
            for answer in answers
        )
        return {answer for answer in answers if isinstance(answer, str)}

    database.run_sync(lambda c: c.execute(schema.accounts.delete()) and None)
    successes = asyncio.run(play())
    found = database.run_sync(stored)
    cancelled = {f"a{n}" for n, deed in enumerate(plan) if deed == "cancel"}
    assert successes <= found
    # One that was cancelled may have been under way already.
    assert found - successes <= cancelled


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exceptions_that_end_threads_do_not_end_ours(
    database: Database, error: type[BaseException]
) -> None:
    """Even these only reach their caller."""

    def fail(_connection: Connection) -> None:
        raise error

    with pytest.raises(error):
        database.run_sync(fail)
    assert database.run_sync(inserting("next")) == "next"


async def test_stop_iteration_becomes_a_runtime_error(database: Database) -> None:
    """No future takes a StopIteration; it must not keep neighbours from their answers."""
    tasks = [
        asyncio.create_task(database.run(lambda _connection: next(iter(())))),
        asyncio.create_task(database.run(inserting("a"))),
    ]
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[0], RuntimeError)
    assert answers[1] == "a"


async def test_read_change_write_loses_nothing(database: Database) -> None:
    """A hundred that lock, read and write the same row add up, on any number of threads."""
    await database.run(inserting("a"))

    def add_one(connection: Connection) -> None:
        account = accounts.find_account_for_update(connection, "a")
        assert account is not None
        connection.execute(schema.accounts.update().values(credit=account.credit + 1))

    await asyncio.gather(*(database.run(add_one) for _ in range(100)))
    account = await database.run(lambda c: accounts.find_account(c, "a"))
    assert account is not None
    assert account.credit == 100


async def test_deadlock_is_run_again(database: Database, database_url: str) -> None:
    """Two that lock two rows crosswise both succeed on PostgreSQL, where they meet at all."""
    if not database_url.startswith("postgresql"):
        pytest.skip("SQLite runs one function after the other")
    await database.run(inserting("a"))
    await database.run(inserting("b"))
    both_hold_one = threading.Barrier(2)
    attempts: list[str] = []

    def lock(first: str, second: str) -> Callable[[Connection], str]:
        def function(connection: Connection) -> str:
            attempts.append(first)
            accounts.find_account_for_update(connection, first)
            if attempts.count(first) == 1:
                both_hold_one.wait(WAIT_S)
            accounts.find_account_for_update(connection, second)
            return first

        return function

    answers = await asyncio.gather(database.run(lock("a", "b")), database.run(lock("b", "a")))
    assert answers == ["a", "b"]
    # PostgreSQL may break the tie by ending both, and then meet them once more.
    assert len(attempts) >= 3


async def test_locked_by_another_process(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that cannot begin fails, and the next one is fine again."""
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_MS", 10)
    database, other = Database(sqlite_url), open_engine(parse_url(sqlite_url))
    with other.begin():
        with pytest.raises(TransactionFailed) as caught:
            await database.run(inserting("a"))
        assert "locked" in str(caught.value.__cause__)
    assert await database.run(inserting("a")) == "a"
    other.dispose()
    database.close()


async def test_close_finishes_what_is_queued(database: Database, database_url: str) -> None:
    """What was submitted before is committed; what comes later is refused."""
    tasks = [asyncio.create_task(database.run(inserting(f"a{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    database.close()
    assert await asyncio.gather(*tasks) == [f"a{n}" for n in range(20)]
    assert len(stored_elsewhere(database_url)) == 20
    with pytest.raises(ContractViolation, match="closed"):
        await database.run(inserting("late"))
    database.close()


def test_committed_facts_survive_kill_9(sqlite_url: str) -> None:
    """Whatever a process said after its commit is there, though it died at once."""
    program = """
import asyncio, itertools, sys
from tests.unit.database.test_unit_of_work import Database, inserting

async def one(database, n):
    print(await database.run(inserting(f"a{n}")), flush=True)

async def main():
    database = Database(sys.argv[1])
    for start in itertools.count(0, 10):
        await asyncio.gather(*(one(database, n) for n in range(start, start + 10)))

asyncio.run(main())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program, sqlite_url],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        text=True,
    )
    assert process.stdout is not None
    told = {process.stdout.readline().strip() for _ in range(35)}
    process.send_signal(signal.SIGKILL)
    told |= {line.strip() for line in process.stdout if line.endswith("\n")}
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    assert len(told) >= 35
    assert told <= stored_elsewhere(sqlite_url)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "cannot be read"),
        ("nonsense", "cannot be read"),
        ("mysql://host/name", "not mysql"),
        ("sqlite://", "a file"),
        ("sqlite:///:memory:", "a file"),
        ("sqlite:////nowhere/at/all.db", "No such file or directory"),
    ],
)
def test_wrong_urls_are_startup_errors(url: str, sentence: str) -> None:
    """The sentence says what is accepted."""
    with pytest.raises(StartupError, match=sentence):
        Database(url)


async def test_who_fails_before_writing_costs_the_others_nothing(
    sqlite_database: Database, sqlite_url: str
) -> None:
    """A refusal in a shared commit runs nothing twice; a failure that wrote runs all again."""
    runs: list[str] = []

    def counted(name: str, fn: Callable[[Connection], str]) -> Callable[[Connection], str]:
        def run(connection: Connection) -> str:
            runs.append(name)
            return fn(connection)

        return run

    def refusing(connection: Connection) -> str:
        stored(connection)
        raise LookupError("no")

    async def together(*fns: Callable[[Connection], str]) -> list[object]:
        async with busy(sqlite_database) as release:
            tasks = [asyncio.create_task(sqlite_database.run(fn)) for fn in fns]
            await asyncio.sleep(0)
            release.set()
            return await asyncio.gather(*tasks, return_exceptions=True)

    await together(counted("a", inserting("a")), counted("no", refusing))
    assert runs == ["a", "no"]
    runs.clear()
    b, wrote, c = await together(
        counted("b", inserting("b")),
        counted("wrote", inserting_and_failing("wrote")),
        counted("c", inserting("c")),
    )
    assert (b, c) == ("b", "c")
    assert isinstance(wrote, LookupError)
    assert runs == ["b", "wrote", "b", "wrote", "c"]
    assert stored_elsewhere(sqlite_url) == {"a", "b", "c"}
    sqlite_database.close()


async def test_a_read_waits_for_no_writer(sqlite_database: Database) -> None:
    """While a transaction is held open, what only reads is answered, with what was committed."""
    await sqlite_database.run(inserting("a"))
    async with busy(sqlite_database):
        writing = asyncio.create_task(sqlite_database.run(inserting("b")))
        assert await asyncio.wait_for(sqlite_database.read(stored), WAIT_S) == {"a"}
        assert not writing.done()
    await writing
    assert await sqlite_database.read(stored) == {"a", "b"}
    sqlite_database.close()


async def test_a_read_changes_nothing(sqlite_database: Database) -> None:
    """A function that was taken for a reader and writes is told so; others beside it read on."""
    answers = await asyncio.gather(
        sqlite_database.read(stored),
        sqlite_database.read(inserting("a")),
        sqlite_database.read(stored),
        return_exceptions=True,
    )
    assert (answers[0], answers[2]) == (set(), set())
    assert isinstance(answers[1], OperationalError)
    assert await sqlite_database.read(stored) == set()
    sqlite_database.close()


async def test_a_read_sees_every_commit_that_was_told(database: Database) -> None:
    """Ten callers at once: each reads back what its own transaction had stored."""

    async def write_and_read(name: str) -> bool:
        for n in range(20):
            await database.run(inserting(f"{name}{n}"))
            if f"{name}{n}" not in await database.read(stored):
                return False
        return True

    assert all(await asyncio.gather(*(write_and_read(name) for name in "abcdefghij")))


async def test_what_was_asked_to_read_is_answered_before_the_end(
    sqlite_database: Database,
) -> None:
    """Closing answers the reads that wait, and refuses later ones with a sentence."""
    reads = [asyncio.create_task(sqlite_database.read(stored)) for _ in range(100)]
    await asyncio.sleep(0)
    await asyncio.to_thread(sqlite_database.close)
    assert await asyncio.gather(*reads) == [set()] * 100
    with pytest.raises(ContractViolation):
        await sqlite_database.read(stored)
