"""The engine follows the trunks of the database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.postgres import fresh_sqlite
from tests.unit.trunks.nouns import a_trunk
from voiceblocks.database import trunks
from voiceblocks.database.unit_of_work import Database
from voiceblocks.trunks.model import Trunk
from voiceblocks.workflows import keep_trunks
from voiceblocks.workflows.keep_trunks import KeepTrunks


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lists: list[list[str]] = []
        self.fault: Exception | None = None
        self.news = asyncio.Event()

    def set_trunks(self, trunks: Sequence[Trunk]) -> None:
        """Take the trunks, or fail once."""
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        self.lists.append([trunk.name for trunk in trunks])
        self.news.set()


@pytest.fixture
def database(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """With tables and nothing in them."""
    opened = Database(fresh_sqlite(tmp_path, tmp_path_factory))
    yield opened
    opened.close()


async def test_told_of_changes_only(database: Database) -> None:
    """Once at the start, also of no trunks at all, and then when something changed."""
    told = Told()
    keeper = KeepTrunks(database, [told])
    await keeper.look()
    await keeper.look()
    assert told.lists == [[]]
    await database.run(lambda c: trunks.insert(c, a_trunk()))
    await keeper.look()
    await keeper.look()
    assert told.lists == [[], ["carrier"]]
    await database.run(lambda c: trunks.set_disabled(c, "carrier", 5))
    await keeper.look()
    await database.run(lambda c: trunks.delete(c, "carrier"))
    await keeper.look()
    assert told.lists == [[], ["carrier"], ["carrier"], []]


async def test_who_could_not_be_told_is_told_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of one look is over with the next."""
    monkeypatch.setattr(keep_trunks, "PERIOD_S", 0.01)
    told = Told()
    told.fault = RuntimeError("a fault of ours")
    running = asyncio.create_task(KeepTrunks(database, [told]).run())
    async with asyncio.timeout(10):
        await told.news.wait()
    assert told.lists[0] == []
    running.cancel()
