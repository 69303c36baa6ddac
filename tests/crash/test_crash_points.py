"""Killed between any two steps of finishing, and again between any two steps of recovery.

The workflows run for real, with a real encoder, store and database, but each step burns a
fuse, and at its end the "process" dies of `Killed`, which no `except Exception` catches.
What is then in the database and the folders is all that the next process has.

```
life:     finish  put  (encoded, stored)  run (the transaction)  wake  forget_spool
recovery: run (look)  say_goodbye  finish  put  (…)  run  wake  forget_spool  run (tidy up)
```
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

import numpy as np
import pytest
import pytest_asyncio

from tests.crash.facts import Facts, read_facts
from tests.crash.mortal import Fuse, Killed, Mortal
from tests.functional.calls import decode
from tests.metering import a_meter
from tests.unit.workflows.roomy import ROOMY
from voiceblocks.accounts.model import Application
from voiceblocks.accounts.secret_key import load_or_create
from voiceblocks.adapters.recording_store import open_recording_store
from voiceblocks.adapters.render.pool import RenderPool
from voiceblocks.audio import g711
from voiceblocks.blocks.command import Command
from voiceblocks.blocks.hangup import HangupCommand
from voiceblocks.blocks.play import PlayCommand
from voiceblocks.blocks.record import RecordCommand
from voiceblocks.calls.events import (
    AcceptedCall,
    BlockFinished,
    CallAnswered,
    CallEnded,
    Disposition,
    EndReason,
    IncomingCall,
    RecordedAudio,
)
from voiceblocks.database import accounts, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.engine.media.salvage import salvage
from voiceblocks.ids import SessionId
from voiceblocks.recordings.spool import SLOT_SAMPLES, SpoolWriter
from voiceblocks.recordings.state import RecordingState
from voiceblocks.sessions.model import BlockRun
from voiceblocks.sessions.state import SessionState
from voiceblocks.system_clock import SystemClock
from voiceblocks.testing import tone_code
from voiceblocks.workflows import manage_accounts
from voiceblocks.workflows.accept_incoming_call import AdmissionRules
from voiceblocks.workflows.authorise_outgoing_call import OutgoingRules
from voiceblocks.workflows.finish_recording import FinishedRecording, FinishRecording
from voiceblocks.workflows.handle_call_events import HandleCallEvents
from voiceblocks.workflows.prepare_request import RequestPreparer
from voiceblocks.workflows.recover_after_crash import RecoverAfterCrash
from voiceblocks.workflows.request_parts import RequestParts
from voiceblocks.workflows.submit_block import SubmitBlock

pytestmark = pytest.mark.asyncio(loop_scope="session")

N_SAMPLES = 8000 + 7
"A second, and not a whole number of slots."
ZERO_AFTER_S = 70
"Between the answer and the first sample."
URL = "http://127.0.0.1:9/told"
NUMBER = "+6580000001"
CREDIT = 100_000


class MortalFinishRecording(FinishRecording):
    """Burns the fuse after the whole, and after the spool is gone."""

    fuse: Fuse

    async def __call__(self, audio: RecordedAudio, reason: EndReason) -> FinishedRecording | None:
        """Encode and store."""
        finished = await super().__call__(audio, reason)
        self.fuse.burn()
        return finished

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
    goodbyes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("spools", "rings"):
            (self.root / name).mkdir()
        self.store = open_recording_store(f"file://{self.root / 'store'}")
        self.key = load_or_create(self.root / "secret.key")
        self.clock = SystemClock()

    # The engine, as the workflows see it

    def start_block(self, _plan: object) -> bool:
        """A block runs."""
        return True

    def force_hangup(self, _session_id: str, _run_id: str) -> bool:
        """The call is being ended."""
        return True

    def say_goodbye(self, _session_id: str, _leg_id: str, dialog: str) -> None:
        """BYE."""
        self.goodbyes.append(dialog)

    def wake(self) -> None:
        """The outbox."""

    # What a process makes of it

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
        return HandleCallEvents(
            database=cast("Any", Mortal(self.database, fuse)),
            rules=AdmissionRules("1", 1000),
            encoder=cast("Any", self.render),
            finish_recording=self.finishing(fuse),
            finish_monitor=cast("Any", None),
            meter=a_meter(self.database),
            outbox=Mortal(self, fuse),
        )

    def recovery(self, fuse: Fuse) -> RecoverAfterCrash:
        """The start of the next process."""
        return RecoverAfterCrash(
            database=cast("Any", Mortal(self.database, fuse)),
            node="1",
            salvaged=salvage(self.root / "rings", self.root / "spools"),
            finish_recording=self.finishing(fuse),
            calls=cast("Any", Mortal(self, fuse)),
            outbox=Mortal(self, fuse),
        )

    async def recover(self, fuse: Fuse) -> None:
        """All of it."""
        await self.recovery(fuse).recover()


class Nothing:
    """No prompts, no beep, no look at URLs."""

    async def prepare(self, _parts: object, _account_id: str) -> list[Any]:
        """No prompt."""
        return []

    async def beep(self) -> None:
        """No beep."""

    async def ring_tone(self, _country: str) -> None:
        """No ring tone."""

    async def check(self, _url: str) -> None:
        """Every URL will do."""


@dataclass
class Call:
    """One call of a world, as the engine would tell it."""

    world: World
    app: Application
    session: SessionId
    fuse: Fuse = field(default_factory=Fuse)

    @property
    def handler(self) -> HandleCallEvents:
        """Of the process that will die."""
        return self.world.handler(self.fuse)

    async def answered(self) -> None:
        """200 was sent."""
        await self.world.handler(Fuse()).on_call_answered(
            CallAnswered(self.session, self.world.clock.utc_us(), f"dialog of {self.session}")
        )

    async def accept(self, command: Command) -> BlockRun:
        """Have a block accepted."""
        nothing = cast("Any", Nothing())
        submit = SubmitBlock(
            RequestParts(
                database=self.world.database,
                key=self.world.key,
                requests=RequestPreparer(nothing, nothing, nothing),
                calls=cast("Any", self.world),
                outbox=self.world,
                rules=OutgoingRules(node="1", max_calls_per_account=8),
                recording_rules=ROOMY,
                clock=self.world.clock,
            )
        )
        await submit.submit(self.app, command)
        runs = await self.world.database.run(lambda c: sessions.list_runs(c, self.session))
        return next(run for run in runs if run.block == command.block)

    def spool(self, run: BlockRun, n_samples: int = N_SAMPLES) -> RecordedAudio:
        """What media worker and keeper leave of a recording that is over."""
        assert run.recording_id is not None
        payload = g711.ulaw_encode(tone_code.encode_seconds(5, 2))
        n_slots = -(-n_samples // SLOT_SAMPLES)
        records = np.ones((n_slots, 1 + SLOT_SAMPLES), np.uint8)
        records[:, 1:] = payload[: n_slots * SLOT_SAMPLES].reshape(n_slots, SLOT_SAMPLES)
        path = self.world.root / "spools" / f"{run.recording_id}.spool"
        spool = SpoolWriter(path, "PCMU")
        spool.set_zero(self.world.clock.utc_us() + ZERO_AFTER_S * 1_000_000, 0.0)
        if n_slots:
            spool.append(records)
        spool.finish(n_samples)
        spool.close()
        return RecordedAudio(run.recording_id, n_samples, 50, 50, 0, 0)

    async def over(
        self, run: BlockRun, reason: EndReason, audio: RecordedAudio | None = None
    ) -> None:
        """A block's end."""
        await self.handler.on_block_finished(
            BlockFinished(self.session, run.id, reason, self.world.clock.utc_us(), audio)
        )

    async def hung_up(self) -> None:
        """The leg is gone."""
        await self.handler.on_call_ended(
            CallEnded(self.session, self.world.clock.utc_us(), Disposition.ANSWERED)
        )

    async def recording(self) -> tuple[BlockRun, RecordedAudio]:
        """A recording in the middle."""
        run = await self.accept(RecordCommand(session=self.session, notify_url=URL, tag="rec"))
        await self.answered()
        return run, self.spool(run)


Life = Callable[[], Awaitable[None]]
"What the engine tells until the process dies."


async def finish_key(call: Call) -> Life:
    """The caller pressed `#`; the session waits for the next block."""
    run, audio = await call.recording()
    return lambda: call.over(run, EndReason.FINISH_KEY, audio)


async def hangup_in_recording(call: Call) -> Life:
    """The caller left."""
    run, audio = await call.recording()

    async def live() -> None:
        await call.over(run, EndReason.HANGUP, audio)
        await call.hung_up()

    return live


async def forced_in_recording(call: Call) -> Life:
    """A forced hang-up cut the recording off: two runs are open."""
    run, audio = await call.recording()
    hangup = await call.accept(
        HangupCommand(session=call.session, force=True, notify_url=URL, tag="bye")
    )

    async def live() -> None:
        await call.over(run, EndReason.FORCED, audio)
        await call.over(hangup, EndReason.COMPLETED)
        await call.hung_up()

    return live


async def forced_while_waiting(call: Call) -> Life:
    """A forced hang-up between blocks: ENDING, and its run is open."""
    run, audio = await call.recording()
    await call.over(run, EndReason.FINISH_KEY, audio)
    hangup = await call.accept(
        HangupCommand(session=call.session, force=True, notify_url=URL, tag="bye")
    )

    async def live() -> None:
        await call.over(hangup, EndReason.COMPLETED)
        await call.hung_up()

    return live


async def playing(call: Call) -> Life:
    """EXECUTING, and nothing was recorded."""
    run = await call.accept(PlayCommand(session=call.session, notify_url=URL, tag="play"))
    await call.answered()
    return lambda: call.over(run, EndReason.COMPLETED)


async def prompting(call: Call) -> Life:
    """A record block that has not come to its beep."""
    run = await call.accept(RecordCommand(session=call.session, notify_url=URL, tag="rec"))
    await call.answered()

    async def live() -> None:
        await call.over(run, EndReason.HANGUP)
        await call.hung_up()

    return live


async def silent_spool(call: Call) -> Life:
    """The beep is over, and no sample was placed yet."""
    run = await call.accept(RecordCommand(session=call.session, notify_url=URL, tag="rec"))
    await call.answered()
    audio = call.spool(run, 0)

    async def live() -> None:
        await call.over(run, EndReason.HANGUP, audio)
        await call.hung_up()

    return live


async def ringing(call: Call) -> Life:
    """RINGING; the caller gives up."""
    return call.hung_up


@dataclass(frozen=True)
class Case:
    """A call that dies at each of its steps."""

    begin: Callable[[Call], Awaitable[Life]]
    recordings: tuple[RecordingState, ...] = ()
    answered: bool = True
    blocks: tuple[str, ...] = ()
    "Of the notifications that have to come, one each; tags and blocks."


READY, FAILED = (RecordingState.READY,), (RecordingState.FAILED,)
CASES = {
    "finish key": Case(finish_key, READY, blocks=("record",)),
    "hangup in recording": Case(hangup_in_recording, READY, blocks=("record",)),
    "forced in recording": Case(forced_in_recording, READY, blocks=("record", "hangup")),
    "forced while waiting": Case(forced_while_waiting, READY, blocks=("record", "hangup")),
    "playing": Case(playing, blocks=("play",)),
    "prompting": Case(prompting, FAILED, blocks=("record",)),
    "silent spool": Case(silent_spool, FAILED, blocks=("record",)),
    "ringing": Case(ringing, answered=False),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def render(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RenderPool]:
    """The encoder's processes, shared by all worlds."""
    root = tmp_path_factory.mktemp("render")
    (root / "work").mkdir()
    pool = RenderPool(root / "cache", root / "work")
    await pool.start()
    yield pool
    assert not list((root / "work").iterdir())
    await pool.stop()


@pytest.fixture
def world(database_url: str, tmp_path: Path, render: RenderPool) -> Iterator[World]:
    """A database and folders."""
    database = Database(database_url)
    yield World(tmp_path, database, render)
    database.close()


async def new_call(world: World) -> Call:
    """A call that rings, of an account of its own."""
    now_us = world.clock.utc_us()
    number = f"+65{80_000_000 + next(_numbers)}"

    def create(connection: Any) -> Application:
        account = manage_accounts.create_account(
            connection, name="Test", currency="SGD", credit="100.00", now_us=now_us
        )
        made, _token = manage_accounts.create_application(
            connection, world.key, account_id=account.id, name="test", now_us=now_us
        )
        manage_accounts.add_number(
            connection, number=number, app_id=made.id, notify_url=URL, now_us=now_us
        )
        application = accounts.find_application(connection, made.id)
        assert application is not None
        return application

    app = await world.database.run(create)
    accepted = await world.handler(Fuse()).on_incoming_call(
        IncomingCall("+6591234567", number, now_us)
    )
    assert isinstance(accepted, AcceptedCall)
    return Call(world, app, SessionId(accepted.session_id))


_numbers = itertools.count()


async def dies_at(call: Call, case: Case, step: int) -> bool:
    """Live until `step`, 0 is not at all; False where life was over before."""
    live = await case.begin(call)
    if step == 0:
        return True
    call.fuse = Fuse(step)
    try:
        await live()
    except Killed:
        return True
    return False


async def recover_however_often(world: World) -> int:
    """Recovery dies at its 1st step, then at its 2nd, … until it does not; how often it died."""
    for deaths in itertools.count():
        try:
            await world.recover(Fuse(deaths + 1))
        except Killed:
            continue
        return deaths
    raise AssertionError


@pytest.mark.parametrize("name", CASES)
async def test_dead_at_any_step(world: World, name: str) -> None:
    """Each recording, notification and charge is there once, whenever processes died."""
    case = CASES[name]
    for step in itertools.count():
        for recover in (world.recover, None):
            call = await new_call(world)
            died = await dies_at(call, case, step)
            if recover is None:
                assert await recover_however_often(world) >= 2
            else:
                await recover(Fuse())
            found = await world.database.run(lambda c, s=call.session: read_facts(c, s))
            where = f"{name}, died at step {step}: {died}, recovery died, too: {recover is None}"
            assert await complaints(world, case, found) == [], where
        if not died:
            # Dying after the last step was tried, too.
            return


async def test_a_call_that_comes_during_the_start_is_not_taken_for_an_old_one(
    world: World,
) -> None:
    """What rings after the look is this process's, whatever stands beside it in the database."""
    old = await new_call(world)
    recovery = world.recovery(Fuse())
    await recovery.look()
    new = await new_call(world)
    await recovery.settle_quiet()
    await recovery.finish_recordings()
    facts = [
        await world.database.run(lambda c, s=call.session: read_facts(c, s)) for call in (old, new)
    ]
    assert [one.session.state for one in facts] == [SessionState.ENDED, SessionState.RINGING]


async def test_goodbye_is_said_before_the_first_hour_is_encoded(world: World) -> None:
    """Nobody stays on a dead line while recordings are finished; it is said again if need be."""
    calls = [await new_call(world) for _ in range(2)]
    await calls[0].recording()
    await playing(calls[1])
    recovery = world.recovery(Fuse())
    await recovery.look()
    await recovery.settle_quiet()
    assert sorted(world.goodbyes) == sorted(f"dialog of {call.session}" for call in calls)
    states = [
        (await world.database.run(lambda c, s=call.session: read_facts(c, s))).session.state
        for call in calls
    ]
    assert states == [SessionState.EXECUTING, SessionState.ENDED]
    await world.recover(Fuse())


async def test_one_session_that_cannot_be_recovered_holds_up_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left for the next start, which finds it as it was."""
    bad, good = await new_call(world), await new_call(world)
    bad_run, _audio = await bad.recording()
    await good.recording()
    put = world.store.put

    async def fails_for_bad(name: str, source: Path) -> Any:
        if name.startswith(str(bad_run.recording_id)):
            raise RuntimeError("a fault of ours")
        return await put(name, source)

    with monkeypatch.context() as patched:
        patched.setattr(world.store, "put", fails_for_bad)
        await world.recover(Fuse())
    found = await world.database.run(lambda c: read_facts(c, good.session))
    assert await complaints(world, CASES["finish key"], found) == [
        f"left ['{bad_run.recording_id}.spool']"
    ]
    await world.recover(Fuse())
    found = await world.database.run(lambda c: read_facts(c, bad.session))
    assert await complaints(world, CASES["finish key"], found) == []


async def test_a_dead_call_is_billed_to_its_last_audio(world: World) -> None:
    """Not to the restart, however late that is, and not only to the start of its last block."""
    call = await new_call(world)
    run, audio = await call.recording()
    await world.recover(Fuse())
    found = await world.database.run(lambda c: read_facts(c, call.session))
    assert run.recording_id == audio.name
    assert found.session.ended_us is not None
    assert found.session.answered_us is not None
    lasted_s = (found.session.ended_us - found.session.answered_us) / 1e6
    assert ZERO_AFTER_S < lasted_s < ZERO_AFTER_S + 3
    assert found.session.duration_min == 2


async def complaints(world: World, case: Case, found: Facts) -> list[str]:
    """What is not as it must be after any crash."""
    wrong: list[str] = []

    def check(what: str, is_true: object) -> None:
        if not is_true:
            wrong.append(what)

    session = found.session
    check(f"session is {session.state}", session.state is SessionState.ENDED)
    check("a run is open", found.unfinished_runs == 0)
    check(f"{found.recordings}", tuple(r.state for r in found.recordings) == case.recordings)
    told = [dict(parse_qsl(n.parameters, keep_blank_values=True)) for n in found.notifications]
    check(
        "gap in sequence",
        [n.sequence for n in found.notifications] == list(range(1, len(told) + 1)),
    )
    # A call that dies between blocks is told once more, for its last block.
    extra = [n for n in told[1:] if n["call_state"] == "ended" and _repeats(n, told[1:], case)]
    blocks = [n["ivr_block"] for n in told[1:] if n not in extra]
    check(f"told {told}", blocks == list(case.blocks))
    check(f"{len(extra)} goodbyes in words", len(extra) <= 1)
    check("nobody was told of the end", [n for n in told if n["call_state"] == "ended"])
    statuses = [n["record_status"] for n in told if "record_status" in n]
    expected = ["success" if r is RecordingState.READY else "failed" for r in case.recordings]
    check(f"record_status {statuses}", statuses == expected)
    # Of a call that recorded nothing, no more is known than that it was answered: 0 minutes.
    is_billed = bool(session.debit) or RecordingState.READY in case.recordings
    check(f"charges {found.charges}", len(found.charges) == is_billed)
    check("an unanswered call was billed", case.answered or not is_billed)
    paid = sum(int(charge.amount) for charge in found.charges)
    check(f"credit {found.credit} after {paid}", found.credit == CREDIT - paid)
    bills = {(n["debit"], n.get("charge_id")) for n in told if n["call_state"] == "ended"}
    check(f"bills {bills}", len(bills) == 1)
    left = [path.name for path in (world.root / "spools").iterdir()]
    check(f"left {left}", not left)
    for recording in found.recordings:
        if recording.state is RecordingState.READY:
            mp3 = await asyncio.to_thread((world.root / "store" / recording.object_name).read_bytes)
            samples = decode(mp3)
            check(f"{len(samples)} samples", len(samples) == N_SAMPLES)
            heard = [s.second_index for s in tone_code.decode_seconds(samples)]
            check(f"heard {heard}", heard == [5])
    return wrong


def _repeats(one: dict[str, str], told: list[dict[str, str]], case: Case) -> bool:
    """Whether it is the second of its block, and tells only that the call is over."""
    same = [n for n in told if n["ivr_block"] == one["ivr_block"]]
    if not case.blocks:
        return True
    return "record_status" not in one and same.index(one) > 0
