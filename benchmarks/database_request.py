"""Processor time of what one block request makes the database do, on a busy machine too.

    python -m benchmarks.database_request [--rounds 5] [--pairs 200]

A hold and an unhold, over and over: the token is looked up, the block accepted, its end noted,
a transaction each, none shared, in one thread, on `/dev/shm`. The lowest round counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from typing import Any, cast

from sqlalchemy import Connection

from benchmarks.delivery import APP, seed, session
from voiceblocks.accounts.model import Application
from voiceblocks.blocks.command import Command
from voiceblocks.blocks.fields import Fields
from voiceblocks.blocks.hold import HoldCommand
from voiceblocks.blocks.unhold import UnholdCommand
from voiceblocks.calls.events import BlockFinished, EndReason
from voiceblocks.database import accounts, sessions
from voiceblocks.database.engines import open_engine, parse_url
from voiceblocks.database.migrate import upgrade
from voiceblocks.ids import BlockRunId
from voiceblocks.log import configure
from voiceblocks.workflows.accept_block import accept_block
from voiceblocks.workflows.note_call_events import note_block_finished

LOOKUP = b"x" * 32
CALLS = 20


def request(connection: Connection, app: Application, command: Command) -> BlockRunId:
    """Authenticate and accept."""
    with connection.begin():
        accounts.find_token(connection, LOOKUP)
    with connection.begin():
        # Of the rules for calls and recordings a hold asks nothing.
        rules = cast("Any", None)
        accepted = accept_block(connection, app, command, rules, rules, time.time_ns() // 1000)
        return accepted.run.id


def pair(connection: Connection, app: Application, hold: Command, unhold: Command) -> None:
    """A hold and the unhold that ends it, and the engine's word that both are over."""
    for run_id in (request(connection, app, hold), request(connection, app, unhold)):
        event = BlockFinished(hold.session, run_id, EndReason.COMPLETED, time.time_ns() // 1000)
        with connection.begin():
            note_block_finished(connection, event, None)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=200)
    arguments = parser.parse_args()
    configure(level="error")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        url = f"sqlite:///{folder}/benchmark.db"
        upgrade(url)
        engine = open_engine(parse_url(url))
        with engine.connect() as connection:
            with connection.begin():
                seed(connection)
                accounts.insert_token(connection, LOOKUP, APP, b"s", "k", 1)
                for n in range(CALLS):
                    sessions.insert(connection, session(n))
                app = accounts.find_application(connection, APP)
            assert app is not None
            fields = [Fields([("session", f"S-1-{n}")]) for n in range(CALLS)]
            commands = [(HoldCommand.from_fields(f), UnholdCommand.from_fields(f)) for f in fields]
            rounds: list[float] = []
            for _ in range(arguments.rounds + 1):
                began = time.process_time()
                for n in range(arguments.pairs):
                    pair(connection, app, *commands[n % CALLS])
                rounds.append((time.process_time() - began) / (2 * arguments.pairs) * 1e6)
        engine.dispose()
    # The first one compiles.
    print(f"{min(rounds[1:]):.0f} us a request, {max(rounds[1:]):.0f} in the slowest round")


if __name__ == "__main__":
    main()
