"""Measure transactions a second through `Database`, as workflows use it.

A transaction is what `submit_block` does: a token and a session are looked up, the
session is updated, a block run and a notification are inserted.

Usage: .venv/bin/python benchmarks/database_commits.py [URL] [--seconds 3]
Without a URL: a new SQLite file in the current folder (so on that folder's disk).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from pathlib import Path

from sqlalchemy import Connection

from voiceblocks.accounts.model import Account, Application
from voiceblocks.database import accounts, schema, sessions
from voiceblocks.database.migrate import upgrade
from voiceblocks.database.unit_of_work import Database
from voiceblocks.ids import AccountId, AppId, BlockRunId, SessionId, TxnRef, random_text
from voiceblocks.money import Thousandths
from voiceblocks.sessions.model import BlockRun, Direction, Session
from voiceblocks.sessions.state import SessionState

N_SESSIONS = 200
RUN = random_text(8)
COUNTER = itertools.count()
INSERT_NOTIFICATION = schema.notifications.insert()


def seed(connection: Connection) -> None:
    accounts.insert_account(
        connection,
        Account(id=AccountId(RUN), name="b", currency="SGD", credit=Thousandths(0), created_us=1),
    )
    accounts.insert_application(
        connection,
        Application(id=AppId(RUN), account_id=AccountId(RUN), name="b", created_us=1),
    )
    accounts.insert_token(connection, RUN.encode().ljust(32), RUN, b"sealed", "key", 1)
    for n in range(N_SESSIONS):
        sessions.insert(
            connection,
            Session(
                id=SessionId(f"S-1-{RUN}{n}"),
                txn_ref=TxnRef(f"AA-S-1-{RUN}{n}"),
                node="1",
                account_id=AccountId(RUN),
                app_id=AppId(RUN),
                direction=Direction.INBOUND,
                from_number="+6591234567",
                to_number="+6531580000",
                state=SessionState.WAITING,
                last_block="answer",
                last_notify_url="http://127.0.0.1:9/notify",
                last_tag="",
                run_id=None,
                notification_count=0,
                currency="SGD",
                rate=Thousandths(20),
                debit=None,
                duration_min=None,
                disposition=None,
                dialog=None,
                created_us=1,
                answered_us=1,
                ended_us=None,
            ),
        )


def transaction(connection: Connection) -> None:
    n = next(COUNTER)
    session_id = SessionId(f"S-1-{RUN}{n % N_SESSIONS}")
    assert accounts.find_token(connection, RUN.encode().ljust(32)) is not None
    assert sessions.find_for_update(connection, session_id) is not None
    run = BlockRun(
        id=BlockRunId(f"{RUN}{n}"),
        session_id=session_id,
        block="record",
        notify_url="http://127.0.0.1:9/notify",
        tag="",
        recording_id=None,
        created_us=n,
        finished_us=None,
        end_reason=None,
    )
    sessions.insert_run(connection, run)
    sessions.update(connection, session_id, state=SessionState.WAITING, run_id=run.id)
    connection.execute(
        INSERT_NOTIFICATION,
        {
            "id": f"{RUN}{n}",
            "session_id": session_id,
            "sequence": sessions.next_notification_sequence(connection, session_id),
            "app_id": RUN,
            "block": "record",
            "url": "http://127.0.0.1:9/notify",
            "parameters": "x" * 300,
            "lasting": True,
            "state": "pending",
            "attempt_count": 0,
            "next_attempt_us": n,
            "created_us": n,
        },
    )


async def measure(database: Database, n_callers: int, seconds: float) -> None:
    latencies_s: list[float] = []
    end = time.perf_counter() + seconds

    async def caller() -> None:
        while (started := time.perf_counter()) < end:
            await database.run(transaction)
            latencies_s.append(time.perf_counter() - started)

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(n_callers)))
    elapsed = time.perf_counter() - started
    latencies_s.sort()
    p50, p99 = (latencies_s[int(len(latencies_s) * share)] * 1000 for share in (0.5, 0.99))
    print(
        f"{n_callers:4} at a time: {len(latencies_s) / elapsed:6.0f}/s, "
        f"median {p50:6.2f} ms, 99th {p99:6.2f} ms, "
        f"CPU {(time.process_time() - cpu) / len(latencies_s) * 1e6:.0f} us each"
    )


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url", nargs="?")
    parser.add_argument("--seconds", type=float, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        url = arguments.url or f"sqlite:///{folder}/benchmark.db"
        upgrade(url)
        database = Database(url)
        await database.run(seed)
        for n_callers in (1, 8, 64, 256):
            await measure(database, n_callers, arguments.seconds)
        database.close()


if __name__ == "__main__":
    asyncio.run(main())
