"""A monitored call is told once, with its link or without, and nothing recorded is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from tests.unit.database.nouns import CREATED_US, a_recording, a_session, seed
from tests.unit.workflows.test_finish_recording import FakeEncoder, FakeStore, StoppedClock
from voiceblocks.calls.events import MonitorEnded, MonitorStarted, RecordedAudio
from voiceblocks.database import notifications, recordings, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.ids import SessionId, TxnRef
from voiceblocks.recordings.model import Recording, RecordingKind
from voiceblocks.recordings.spool import SpoolWriter
from voiceblocks.recordings.state import RecordingState
from voiceblocks.sessions.state import SessionState
from voiceblocks.workflows.finish_left_over import FinishLeftOver
from voiceblocks.workflows.finish_monitor import FinishMonitor, left_behind
from voiceblocks.workflows.finish_recording import FinishRecording

NAME, SESSION = "rec-1", "S-1-over"


class World:
    """The workflow with a real database, a fake encoder and a fake store."""

    def __init__(self, database: Database, root: Path) -> None:
        self.database = database
        self.encoder = FakeEncoder(root)
        self.store = FakeStore()
        self.wakes = 0
        self.finish_recording = FinishRecording(
            encoder=self.encoder,
            store=self.store,
            spool_dir=root,
            sign_link=lambda name: f"http://links/{name}",
            retry_pauses_s=(0.0, 0.0),
        )
        self.finish_monitor = FinishMonitor(
            database=database, finish_recording=self.finish_recording, outbox=self
        )

    def wake(self) -> None:
        """See `Outbox`."""
        self.wakes += 1

    async def over(self, caller: int = 800, heard: int = 960) -> None:
        """The call and its monitor have ended; its spools lie there."""
        for name, n_samples in ((NAME, caller), (f"{NAME}-heard", heard)):
            spool = SpoolWriter(self.finish_recording.spool_path(name), "PCMU")
            spool.finish(n_samples)
            spool.close()
        await self.finish_monitor(
            MonitorEnded(
                SESSION,
                RecordedAudio(NAME, caller, 6, 5, 0, 1),
                RecordedAudio(f"{NAME}-heard", heard, 0, 0, 0, 0),
                CREATED_US + 5,
            )
        )

    async def row(self) -> Recording:
        """The monitor's row."""
        found = await self.database.run(lambda connection: recordings.find(connection, NAME))
        assert found is not None
        return found

    async def told(self) -> list[dict[str, str]]:
        """All notifications of the session."""
        found = await self.database.run(lambda c: notifications.list_of_session(c, SESSION))
        assert all(one.url == "http://127.0.0.1:9/monitored?a=b" for one in found)
        return [dict(parse_qsl(one.parameters, keep_blank_values=True)) for one in found]

    def spools(self) -> list[str]:
        """Those that are left."""
        return sorted(
            path.name for path in self.finish_recording.spool_path("x").parent.glob("*.spool")
        )


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """With one monitored call that has ended."""
    database = Database(database_url)

    def insert(connection: object) -> None:
        seed(connection)  # type: ignore[arg-type]
        sessions.insert(connection, a_session(SESSION, state=SessionState.ENDED, run_id=None))  # type: ignore[arg-type]
        recordings.insert(
            connection,  # type: ignore[arg-type]
            a_recording(
                NAME,
                session_id=SessionId(SESSION),
                kind=RecordingKind.MONITOR,
                notify_url="http://127.0.0.1:9/monitored?a=b",
                tag="mine",
            ),
        )

    database.run_sync(insert)
    yield World(database, tmp_path)
    database.close()


async def test_it_is_stored_and_told(world: World) -> None:
    """One notification to the monitor's own URL, with link and bill; both spools are gone."""
    world.encoder.failures = world.store.failures = 1
    await world.over()
    [told] = await world.told()
    assert told["ivr_block"] == "monitor"
    assert (told["tag"], told["call_state"]) == ("mine", "ended")
    assert told["monitor_status"] == "success"
    assert told["monitor_url"] == "http://links/rec-1.mp3"
    assert {"date", "duration", "currency", "rate", "debit"} <= told.keys()
    row = await world.row()
    assert (row.state, row.end_reason) == (RecordingState.READY, "hangup")
    assert (row.packets_received, row.packets_lost) == (5, 1)
    # As long as the longer side.
    assert world.store.objects == {"rec-1.mp3": b"960"}
    assert world.spools() == []
    assert world.wakes == 1


async def test_it_is_told_once(world: World) -> None:
    """An end that is told twice, by whatever fault, changes nothing."""
    await world.over()
    await world.over()
    assert len(await world.told()) == 1
    assert (await world.row()).state is RecordingState.READY
    assert world.spools() == []


async def test_nothing_was_recorded(world: World) -> None:
    """Told as failed, without a link; the encoder forgets it."""
    await world.over(0, 0)
    [told] = await world.told()
    assert told["monitor_status"] == "failed"
    assert "monitor_url" not in told
    assert (await world.row()).state is RecordingState.FAILED
    assert world.encoder.abandoned == [NAME]
    assert world.spools() == []


@pytest.mark.parametrize("sides", [(800, 960), (800, None), (None, 960)])
async def test_a_store_that_fails_is_tried_again_later(
    world: World, sides: tuple[int | None, int | None]
) -> None:
    """Told as failed, kept with the spools that there are, and stored when that is possible."""
    world.store.failures = 3
    await world.over(sides[0] or 0, sides[1] or 0)
    for name, n_samples in zip((NAME, f"{NAME}-heard"), sides, strict=True):
        if n_samples is None:
            world.finish_recording.forget_spool(name)
    [told] = await world.told()
    assert told["monitor_status"] == "failed"
    assert (await world.row()).state is RecordingState.FINISHING
    assert len(world.spools()) == sum(side is not None for side in sides)
    left_over = FinishLeftOver(
        database=world.database, finish_recording=world.finish_recording, clock=StoppedClock()
    )
    assert await left_over.once() == 1
    assert (await world.row()).state is RecordingState.READY
    assert world.store.objects == {"rec-1.mp3": str(max(side or 0 for side in sides)).encode()}
    assert world.spools() == []
    assert len(await world.told()) == 1


async def test_without_any_spool_it_stays_left_over(world: World) -> None:
    """Another node's monitor is left to it."""
    world.store.failures = 3
    await world.over()
    world.finish_recording.forget_stereo_spools(NAME)
    left_over = FinishLeftOver(
        database=world.database, finish_recording=world.finish_recording, clock=StoppedClock()
    )
    assert await left_over.once() == 0
    assert (await world.row()).state is RecordingState.FINISHING


async def test_a_live_sessions_monitor_waits(world: World) -> None:
    """Before its call is settled nothing is told, and nothing is thrown away."""
    await world.database.run(
        lambda connection: sessions.update(connection, SESSION, state=SessionState.WAITING)
    )
    await world.over()
    assert await world.told() == []
    assert (await world.row()).state is RecordingState.PENDING
    assert len(world.spools()) == 2


async def test_what_an_earlier_process_left(world: World) -> None:
    """Pending monitors of this node are found, others' and ordinary recordings are not."""
    await world.database.run(
        lambda c: sessions.insert(c, a_session("S-2-b", txn_ref=TxnRef("T-2"), node="2"))
    )
    for name, session, kind in (
        ("rec-2", SESSION, RecordingKind.RECORD),
        ("rec-3", "S-2-b", RecordingKind.MONITOR),
    ):
        recording = a_recording(name, session_id=SessionId(session), kind=kind)
        await world.database.run(lambda c, r=recording: recordings.insert(c, r))  # type: ignore[misc]
    found = await world.database.run(lambda connection: left_behind(connection, "1"))
    assert [recording.id for recording in found] == [NAME]
    await world.finish_monitor.recover(found[0], {})
    [told] = await world.told()
    assert told["monitor_status"] == "failed"
    assert (await world.row()).end_reason == "server_restart"


async def test_both_sides_are_followed(world: World, tmp_path: Path) -> None:
    """From its start on."""
    caller, heard = tmp_path / "a", tmp_path / "b"
    world.finish_monitor.follow(MonitorStarted(SESSION, NAME, caller, heard))
    assert world.encoder.followed == [(NAME, caller, heard)]
