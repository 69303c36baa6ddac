"""Killed between any two steps at the end of a monitored call, and again in its recovery.

```
life:     run (call ended)  wake  finish_stereo  put  run (row, notification)  wake  forget, forget
recovery: run (look)  say_goodbye  run (settle)  wake  finish_stereo  put  run  wake  forget …
```
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

import numpy as np
import pytest
import pytest_asyncio
import soundfile

from tests.crash.facts import Facts, read_facts
from tests.crash.mortal import Fuse, Killed, Mortal
from tests.metering import a_meter
from tests.unit.database.nouns import CREATED_US, a_recording, a_session, an_account, an_application
from voiceblocks.adapters.recording_store import open_recording_store
from voiceblocks.adapters.render.pool import RenderPool
from voiceblocks.audio import g711
from voiceblocks.audio.level import goertzel_level_dbfs
from voiceblocks.audio.tones import tone
from voiceblocks.calls.events import CallEnded, Disposition, MonitorEnded, RecordedAudio
from voiceblocks.database import accounts, recordings, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.engine.media.salvage import salvage
from voiceblocks.ids import RecordingId, SessionId
from voiceblocks.recordings.model import RecordingKind
from voiceblocks.recordings.spool import HEARD_SUFFIX, SLOT_SAMPLES, SpoolWriter
from voiceblocks.recordings.state import RecordingState
from voiceblocks.sessions.state import SessionState
from voiceblocks.workflows.accept_incoming_call import AdmissionRules
from voiceblocks.workflows.finish_monitor import FinishMonitor
from voiceblocks.workflows.finish_recording import FinishRecording
from voiceblocks.workflows.handle_call_events import HandleCallEvents
from voiceblocks.workflows.recover_after_crash import RecoverAfterCrash

pytestmark = pytest.mark.asyncio(loop_scope="session")

URL = "http://127.0.0.1:9/monitored"
N_CALLER, N_HEARD = 8000, 8000 + 480
ENDED_US = CREATED_US + 70_000_000


class MortalFinishRecording(FinishRecording):
    """Burns the fuse after each spool is gone."""

    fuse: Fuse

    def forget_spool(self, name: str) -> None:
        """Delete the spool."""
        super().forget_spool(name)
        self.fuse.burn()


@dataclass
class World:
    """What outlives a process, and the stand-ins for engine and outbox."""

    root: Path
    database: Database
    render: RenderPool

    def __post_init__(self) -> None:
        for name in ("spools", "rings"):
            (self.root / name).mkdir()
        self.store = open_recording_store(f"file://{self.root / 'store'}")

    def say_goodbye(self, _session_id: str, _leg_id: str, _dialog: str) -> None:
        """BYE."""

    def wake(self) -> None:
        """The outbox."""

    def finishing(self, fuse: Fuse) -> MortalFinishRecording:
        """The real workflow between mortal neighbours."""
        made = MortalFinishRecording(
            encoder=cast("Any", Mortal(self.render, fuse)),
            store=cast("Any", Mortal(self.store, fuse)),
            spool_dir=self.root / "spools",
            sign_link=lambda name: f"http://127.0.0.1:9/recordings/{name}",
        )
        made.fuse = fuse
        return made

    def handler(self, fuse: Fuse) -> HandleCallEvents:
        """The ear of a process that will die."""
        database = cast("Any", Mortal(self.database, fuse))
        finish = self.finishing(fuse)
        outbox = Mortal(self, fuse)
        return HandleCallEvents(
            database=database,
            rules=AdmissionRules("1", 1000),
            encoder=cast("Any", self.render),
            finish_recording=finish,
            finish_monitor=FinishMonitor(
                database=database, finish_recording=finish, outbox=cast("Any", outbox)
            ),
            meter=a_meter(database),
            outbox=cast("Any", outbox),
        )

    async def recover(self, fuse: Fuse) -> None:
        """The start of the next process."""
        await RecoverAfterCrash(
            database=cast("Any", Mortal(self.database, fuse)),
            node="1",
            salvaged=salvage(self.root / "rings", self.root / "spools"),
            finish_recording=self.finishing(fuse),
            calls=cast("Any", Mortal(self, fuse)),
            outbox=cast("Any", Mortal(self, fuse)),
        ).recover()

    async def begin(self, number: int, sides: tuple[bool, bool]) -> str:
        """A monitored call that waits for its next block; the session's id."""
        session, name = f"S-1-{number}", f"rec-{number}"

        def insert(connection: Any) -> None:
            if accounts.find_account(connection, "acc_1") is None:
                accounts.insert_account(connection, an_account())
                accounts.insert_application(connection, an_application())
            sessions.insert(
                connection,
                a_session(
                    session,
                    txn_ref=f"T-{number}",
                    state=SessionState.WAITING,
                    run_id=None,
                    debit=None,
                    duration_min=None,
                    disposition=None,
                    ended_us=None,
                    monitor_id=RecordingId(name),
                ),
            )
            recordings.insert(
                connection,
                a_recording(
                    name,
                    session_id=SessionId(session),
                    kind=RecordingKind.MONITOR,
                    notify_url=URL,
                    tag="mine",
                ),
            )

        await self.database.run(insert)
        if sides[0]:
            self.spool(name, tone((1000,), N_CALLER / 8, -12))
        if sides[1]:
            self.spool(name + HEARD_SUFFIX, tone((400,), N_HEARD / 8, -12))
        return session

    def spool(self, name: str, samples: np.ndarray) -> None:
        """What media worker and keeper leave."""
        spool = SpoolWriter(self.root / "spools" / f"{name}.spool", "PCMU")
        spool.set_zero(CREATED_US, 100.0)
        codes = g711.ulaw_encode(samples).reshape(-1, SLOT_SAMPLES)
        spool.append(np.ascontiguousarray(np.insert(codes, 0, 1, axis=1)))
        spool.finish(len(samples))
        spool.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def render(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RenderPool]:
    """The encoder's processes, shared by all worlds."""
    root = tmp_path_factory.mktemp("render")
    pool = RenderPool(root / "cache", root / "work")
    await pool.start()
    yield pool
    await pool.stop()


@pytest.fixture
def world(database_url: str, tmp_path: Path, render: RenderPool) -> Iterator[World]:
    """A database and folders."""
    database = Database(database_url)
    yield World(tmp_path, database, render)
    database.close()


async def dies_at(world: World, session: str, sides: tuple[bool, bool], step: int) -> bool:
    """The call ends, until `step`; 0 is not at all; False where it ended before."""
    if step == 0:
        return True
    name = session.replace("S-1-", "rec-")
    handler = world.handler(Fuse(step))
    try:
        await handler.on_call_ended(CallEnded(session, ENDED_US, Disposition.ANSWERED))
        await handler.on_monitor_ended(
            MonitorEnded(
                session,
                RecordedAudio(name, N_CALLER * sides[0], 50, 49, 0, 1),
                RecordedAudio(name + HEARD_SUFFIX, N_HEARD * sides[1], 0, 0, 0, 0),
                ENDED_US,
            )
        )
    except Killed:
        return True
    return False


@pytest.mark.parametrize("sides", [(True, True), (True, False), (False, True), (False, False)])
async def test_dead_at_any_step(world: World, sides: tuple[bool, bool]) -> None:
    """One recording, one notification of it and no spool, whenever and how often it died."""
    numbers = itertools.count()
    for step in itertools.count():
        for dies_again in (False, True):
            session = await world.begin(next(numbers), sides)
            died = await dies_at(world, session, sides, step)
            for deaths in itertools.count(1):
                try:
                    await world.recover(Fuse(deaths) if dies_again else Fuse())
                except Killed:
                    continue
                break
            facts = await world.database.run(lambda c, s=session: read_facts(c, s))
            await check(world, facts, sides)
        if not died:
            return


async def check(world: World, facts: Facts, sides: tuple[bool, bool]) -> None:
    """The state that every way must lead to."""
    assert facts.session.state is SessionState.ENDED
    [recording] = facts.recordings
    assert recording.state is (RecordingState.READY if any(sides) else RecordingState.FAILED)
    [parameters] = [n.parameters for n in facts.notifications if n.block == "monitor"]
    told = dict(parse_qsl(parameters, keep_blank_values=True))
    assert told["call_state"] == "ended"
    assert told["tag"] == "mine"
    assert {"date", "duration", "rate", "debit"} <= told.keys()
    assert list((world.root / "spools").iterdir()) == []
    if not any(sides):
        assert told["monitor_status"] == "failed"
        assert "monitor_url" not in told
        return
    assert told["monitor_status"] == "success"
    assert told["monitor_url"].endswith(f"/{recording.object_name}")
    path = world.root / "store" / recording.object_name
    samples, _rate = await asyncio.to_thread(soundfile.read, path, dtype="int16")
    assert len(samples) == (N_HEARD if sides[1] else N_CALLER)
    for side, frequency_hz in enumerate((1000, 400)):
        level = goertzel_level_dbfs(samples[800:7200, side], frequency_hz)
        assert level == pytest.approx(-12, abs=1) if sides[side] else level < -70


async def test_another_nodes_monitor_is_left_alone(world: World) -> None:
    """What another node has not finished is none of ours; on SQLite it was ours by another name."""
    session = await world.begin(1, (True, True))
    await world.database.run(lambda c: sessions.update(c, session, node="2"))
    is_ours = await world.database.run(lambda c: c.dialect.name) == "sqlite"
    await world.recover(Fuse())
    facts = await world.database.run(lambda c: read_facts(c, session))
    assert (facts.recordings[0].state is RecordingState.PENDING) is not is_ours
    assert len(list((world.root / "spools").iterdir())) == (0 if is_ours else 2)
