"""The engine follows the trunks of the database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import fresh_sqlite
from tests.unit.trunks.nouns import a_trunk
from voiceblocks.database import trunk_registrations, trunks
from voiceblocks.database.unit_of_work import Database
from voiceblocks.trunks.model import RegistrationState, Trunk, TrunkRegistration
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


class FakeRegistrations:
    """As many as a test says."""

    def __init__(self) -> None:
        self.standing: list[TrunkRegistration] = []


@pytest.fixture
def database(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """With tables and nothing in them."""
    opened = Database(fresh_sqlite(tmp_path, tmp_path_factory))
    yield opened
    opened.close()


async def test_told_of_changes_only(database: Database) -> None:
    """Once at the start, also of no trunks at all, and then when something changed."""
    told = Told()
    keeper = KeepTrunks(database, [told], FakeRegistrations(), "1")
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
    running = asyncio.create_task(KeepTrunks(database, [told], FakeRegistrations(), "1").run())
    async with asyncio.timeout(10):
        await told.news.wait()
    assert told.lists[0] == []
    running.cancel()


async def test_registrations_are_written_down_as_they_change(database: Database) -> None:
    """Of this node alone; a node that stops is registered nowhere."""

    def standing(node: str, **fields: Any) -> TrunkRegistration:
        values = {"state": RegistrationState.TRYING, "changed_us": 1} | fields
        return TrunkRegistration(node=node, trunk_id="trk_1", **values)

    async def written() -> list[TrunkRegistration]:
        return await database.run(trunk_registrations.list_all)

    other = standing("2", state=RegistrationState.FAILED, reason="403 Forbidden")
    stale = standing("1", changed_us=0)
    await database.run(lambda c: trunk_registrations.replace(c, "2", [other]))
    await database.run(lambda c: trunk_registrations.replace(c, "1", [stale]))
    registrations = FakeRegistrations()
    keeper = KeepTrunks(database, [], registrations, "1")
    await keeper.look()
    assert await written() == [other]
    for now in (
        standing("1"),
        standing("1", state=RegistrationState.REGISTERED, changed_us=2, until_us=3),
    ):
        registrations.standing = [now]
        await keeper.look()
        assert await written() == [now, other]
    await keeper.forget()
    assert await written() == [other]
