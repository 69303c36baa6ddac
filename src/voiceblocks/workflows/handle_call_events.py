"""What the engine tells, turned into facts in the database and notifications on their way.

Fulfils `calls.events.CallHandler`. Each event is one transaction; the outbox is woken
after its commit, so the session is ready before the application hears that it is.

A fact of a live call is not given up: a database that is locked, full or away is asked again
until it takes the transaction, and everything that follows from the fact waits for that.
Only a new call is refused at once, since nobody depends on it yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from voiceblocks.calls.events import (
    AcceptedCall,
    BlockFinished,
    CallAnswered,
    CallEnded,
    FurtherLegAnswered,
    FurtherLegEnded,
    IncomingCall,
    LegRings,
    MonitorEnded,
    MonitorStarted,
    RecordingStarted,
    Refusal,
)
from voiceblocks.database.unit_of_work import Database
from voiceblocks.log import about
from voiceblocks.recordings.interfaces import RecordingEncoder
from voiceblocks.stories.interfaces import UNHEARD, StoryKeeper
from voiceblocks.stories.model import RecordingStep
from voiceblocks.workflows.accept_incoming_call import AdmissionRules, accept_incoming_call
from voiceblocks.workflows.call_control import Outbox
from voiceblocks.workflows.finish_monitor import FinishMonitor
from voiceblocks.workflows.finish_recording import FinishRecording
from voiceblocks.workflows.hold_credit import Hold, renew_hold
from voiceblocks.workflows.keep_ringing import KeepRinging
from voiceblocks.workflows.meter_calls import MeterCalls
from voiceblocks.workflows.note_call_events import (
    note_block_finished,
    note_call_answered,
    note_call_ended,
    note_further_leg_answered,
    note_further_leg_ended,
)
from voiceblocks.workflows.write_down import write_down

T = TypeVar("T")

SAMPLES_PER_MS = 8


class HandleCallEvents:
    """
    The workflows' ear at the engine.

    Args:
        database: The node's database.
        rules: What the settings say about new calls.
        encoder: Follows recordings while they grow.
        finish_recording: Turns them into stored MP3s.
        finish_monitor: The same for recordings of whole calls.
        meter: Follows each answered call's credit.
        outbox: Woken after each commit that wrote a notification.
        story: Takes what becomes of recordings before they are ready.
    """

    def __init__(
        self,
        *,
        database: Database,
        rules: AdmissionRules,
        encoder: RecordingEncoder,
        finish_recording: FinishRecording,
        finish_monitor: FinishMonitor,
        meter: MeterCalls,
        outbox: Outbox,
        story: StoryKeeper = UNHEARD,
    ) -> None:
        self._database = database
        self._rules = rules
        self._encoder = encoder
        self._finish_recording = finish_recording
        self._finish_monitor = finish_monitor
        self._meter = meter
        self._outbox = outbox
        self._story = story
        self._ringing = KeepRinging(database)

    async def on_incoming_call(self, call: IncomingCall) -> AcceptedCall | Refusal:
        """Store a ringing session and its notification, or say why not."""
        decision = await self._database.run(
            lambda connection: accept_incoming_call(connection, call, self._rules)
        )
        self._outbox.wake()
        return decision

    def on_leg_rings(self, event: LegRings) -> None:
        """Written down a moment later."""
        self._ringing.note(event)

    async def on_call_answered(self, event: CallAnswered) -> None:
        """Billing starts."""
        self._ringing.forget(event.session_id)
        await self._note_and_meter(
            event.session_id, event.at_us, lambda connection: note_call_answered(connection, event)
        )

    def on_recording_started(self, event: RecordingStarted) -> None:
        """Encode while the call goes on, so that a long recording is ready as soon as a short."""
        self._story.note(event.session_id, RecordingStep(event.at_us, event.name, "begins"))
        if not event.shape.is_sealed:
            self._encoder.follow(event.name, event.spool_path, event.shape)

    async def on_block_finished(self, event: BlockFinished) -> None:
        """Finish what was recorded, then tell the application."""
        recording = None
        if event.audio is not None:
            ms = event.audio.n_samples // SAMPLES_PER_MS
            step = RecordingStep(event.at_us, event.audio.name, "ends", ms)
            self._story.note(event.session_id, step)
        with about(session=event.session_id):
            if event.audio is not None:
                recording = await self._finish_recording(event.audio, event.reason)
            await self._write_down(
                lambda connection: note_block_finished(connection, event, recording)
            )
        self._outbox.wake()
        if event.audio is not None and (recording is not None or event.audio.n_samples == 0):
            self._finish_recording.forget_spool(event.audio.name)

    async def on_call_ended(self, event: CallEnded) -> None:
        """Settle the call."""
        self._ringing.forget(event.session_id)
        self._meter.forget(event.session_id)
        with about(session=event.session_id):
            await self._write_down(lambda connection: note_call_ended(connection, event))
        self._outbox.wake()

    async def on_further_leg_answered(self, event: FurtherLegAnswered) -> None:
        """A second leg costs money from now on."""
        self._ringing.forget(event.session_id)
        await self._note_and_meter(
            event.session_id,
            event.at_us,
            lambda connection: note_further_leg_answered(connection, event),
        )

    async def on_further_leg_ended(self, event: FurtherLegEnded) -> None:
        """A second leg is gone, and holds nothing that it did not use."""
        self._ringing.forget(event.session_id)
        await self._note_and_meter(
            event.session_id,
            event.at_us,
            lambda connection: note_further_leg_ended(connection, event),
        )

    def on_monitor_started(self, event: MonitorStarted) -> None:
        """Encode while the call goes on."""
        self._finish_monitor.follow(event)

    async def on_monitor_ended(self, event: MonitorEnded) -> None:
        """Finish the recording of the whole call, and tell the application."""
        with about(session=event.session_id):
            await self._finish_monitor(event)

    async def _note_and_meter(
        self, session_id: str, at_us: int, note: Callable[[Connection], None]
    ) -> None:
        """Note what changes the price of a call's time, and how far it is paid with that."""

        def happen(connection: Connection) -> Hold | None:
            note(connection)
            return renew_hold(connection, session_id, at_us)

        with about(session=session_id):
            hold = await self._write_down(happen)
        self._meter.follow(session_id, hold)

    async def _write_down(self, fn: Callable[[Connection], T]) -> T:
        return await write_down(self._database, fn)
