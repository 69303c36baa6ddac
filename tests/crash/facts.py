"""What is left after a crash: in the database, in the folders, among the processes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from tests.harness import Application, ServerProcess
from voiceblocks.billing.model import Charge
from voiceblocks.database import accounts, charges, notifications, recordings, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.engine.media.ring import Arena, RowState
from voiceblocks.notifications.model import Notification
from voiceblocks.recordings.model import Recording
from voiceblocks.server.folders import make_folders
from voiceblocks.sessions.model import Session
from voiceblocks.settings import Settings

T = TypeVar("T")

SETTLED_LIMIT_S = 15.0


@dataclass(frozen=True)
class Facts:
    """All that the database says about one session."""

    session: Session
    recordings: list[Recording]
    notifications: list[Notification]
    charges: list[Charge]
    unfinished_runs: int
    credit: int

    def told_of(self, block: str) -> list[Notification]:
        """The notifications of a kind of block."""
        return [one for one in self.notifications if one.block == block]


async def in_database(server: ServerProcess, read: Callable[[Connection], T]) -> T:
    """Look into the server's database from outside."""

    def look() -> T:
        database = Database(server.database_url)
        try:
            return database.run_sync(read)
        finally:
            database.close()

    return await asyncio.to_thread(look)


def read_facts(connection: Connection, session_id: str) -> Facts:
    """Collect them in one transaction."""
    session = sessions.find(connection, session_id)
    assert session is not None
    account = accounts.find_account(connection, session.account_id)
    assert account is not None
    runs = sessions.list_runs(connection, session_id)
    return Facts(
        session=session,
        recordings=recordings.list_of_session(connection, session_id),
        notifications=notifications.list_of_session(connection, session_id),
        charges=charges.list_of_session(connection, session_id),
        unfinished_runs=sum(run.finished_us is None for run in runs),
        credit=account.credit,
    )


async def facts_of(app: Application, session_id: str) -> Facts:
    """The facts of one of the application's sessions."""
    return await in_database(app.server, lambda c: read_facts(c, session_id))


async def nothing_is_left_in_the_folders(server: ServerProcess) -> None:
    """Wait until there is no spool, no row of a ring in use and no MP3 on its way."""
    folders = make_folders(Settings(data_dir=server.data_dir))

    def left() -> list[str]:
        found = [path.name for path in (*folders.spools.iterdir(), *folders.work.iterdir())]
        for path in folders.rings.glob("*"):
            arena = Arena.open(path)
            used = [arena.name_of(row) for row in range(arena.n_rows) if _is_used(arena, row)]
            found += [f"ring of {name}" for name in used]
            arena.close()
        return found

    try:
        await until(lambda: not left())
    except TimeoutError:
        raise AssertionError(f"left behind: {left()}") from None


def _is_used(arena: Arena, row: int) -> bool:
    return int(arena.headers[row]["state"]) != RowState.FREE


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other processes do."""
    async with asyncio.timeout(SETTLED_LIMIT_S):
        while not condition():  # noqa: ASYNC110 - other processes set no event
            # A poll of other processes, with a deadline.
            await asyncio.sleep(0.02)


async def until_in_database(server: ServerProcess, condition: Callable[[Connection], bool]) -> None:
    """Wait for something that the server writes."""
    async with asyncio.timeout(SETTLED_LIMIT_S):
        while not await in_database(server, condition):  # noqa: ASYNC110 - as in `until`
            # A poll of another process's database, with a deadline.
            await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def encode_child(server: ServerProcess) -> int:
    """The process that makes MP3s."""
    found = encode_children(server)
    assert found, "there is no encode child"
    return found[0]


def encode_children(server: ServerProcess) -> list[int]:
    """The same; none while it is started again."""
    return [pid for pid in server.pids().get("process", []) if _lane_of(pid) == "encode"]


def _lane_of(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return ""
    return "encode" if "encode" in words else ""


def kill(pid: int) -> None:
    """`kill -9`."""
    os.kill(pid, signal.SIGKILL)
