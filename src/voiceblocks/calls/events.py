"""What the engine tells the workflows. The domain does not know SIP.

The engine calls one `CallHandler` (a Protocol) with these; the workflows fulfil it.
Ids are plain strings here, since nouns do not import each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from voiceblocks.blocks.recording_shape import PLAIN, RecordingShape
from voiceblocks.calls.cause import CallEndCause


class EndReason(StrEnum):
    """Why a block ended."""

    COMPLETED = "completed"
    "It did all it was asked for."
    FINISH_KEY = "finish_key"
    MAX_DURATION = "max_duration"
    MAX_SILENCE = "max_silence"
    "The caller said nothing for so long."
    TIMEOUT = "timeout"
    "The caller typed nothing more."
    HANGUP = "hangup"
    "The caller left, or the leg was lost."
    FORCED = "forced"
    "The application asked for a forced hang-up."
    SERVER_RESTART = "server_restart"
    CREDIT_USED_UP = "credit_used_up"
    "The account's credit did not pay for more of the call."


class Disposition(StrEnum):
    """How a call ended, in our own words; joined with SIP by one table in the engine."""

    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    FAILED = "failed"


MOST_TELLING = (
    Disposition.ANSWERED,
    Disposition.NO_ANSWER,
    Disposition.BUSY,
    Disposition.REJECTED,
    Disposition.CANCELLED,
    Disposition.FAILED,
)
"Of several numbers that nobody answered, the outcome that comes first here is told."


class Refusal(StrEnum):
    """Why an incoming call is not taken; decision 10 gives each its SIP answer."""

    UNKNOWN_NUMBER = "unknown_number"
    NO_APPLICATION = "no_application"
    ACCOUNT_BUSY = "account_busy"
    NODE_FULL = "node_full"
    NO_CREDIT = "no_credit"
    NOT_FOR_TRIAL = "not_for_trial"
    HUNG_UP = "hung_up"


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call wants to come in; not answered yet."""

    from_number: str
    "Caller as `+…`, or `private` where withheld, or as sent where it is no number."
    to_number: str
    received_at_us: int
    dialog: str = ""
    """What the engine needs to end it after a restart; opaque to everybody else. Until the answer
    that is a refusal, then a BYE: see `CallAnswered`."""


@dataclass(frozen=True, slots=True)
class AcceptedCall:
    """The application will be asked; the call rings meanwhile."""

    session_id: str


@dataclass(frozen=True, slots=True)
class RecordedAudio:
    """Where a block's recording lies after it ended."""

    name: str
    n_samples: int
    packets_expected: int
    packets_received: int
    packets_late: int
    packets_lost: int
    shape: RecordingShape = PLAIN
    finish_key: str | None = None
    "What ended it, if a key did: it may be heard at the end."
    absent_ms: int | None = None
    "For which nothing came, as far as the media worker told."
    paused_ms: int | None = None
    "In which it was paused, as far as the media worker told."


@dataclass(frozen=True, slots=True)
class RecordingStarted:
    """A block records from now on; its spool grows at this path."""

    session_id: str
    name: str
    spool_path: Path
    shape: RecordingShape = PLAIN
    at_us: int = 0


@dataclass(frozen=True, slots=True)
class BlockFinished:
    """A block is over; the session waits for the next one, unless the call ended with it."""

    session_id: str
    run_id: str
    reason: EndReason
    at_us: int
    audio: RecordedAudio | None = None
    digits: str = field(default="", repr=False)
    "What the caller typed. Personal data: never logged, so not shown either."
    reached: Disposition | None = None
    "How the far end of a dial or transfer was reached; `None` for other blocks."


@dataclass(frozen=True, slots=True)
class LegRings:
    """
    An INVITE of ours has left: a phone may ring until somebody cancels it.

    Told again where the next trunk is asked, or another fork rings: the newest counts.
    """

    session_id: str
    leg_id: str
    "Of a further leg; empty for the session's own."
    dialog: str
    "As in `IncomingCall`."


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """The leg is answered: billing starts, and the dialog can be ended after a crash."""

    session_id: str
    at_us: int
    dialog: str
    "What the engine needs to send a BYE after a restart; opaque to everybody else."


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The leg is gone. Comes after the `BlockFinished` of a block that was running."""

    session_id: str
    at_us: int
    disposition: Disposition
    cause: CallEndCause | None = None
    sip_status: int | None = None
    "The answer that refused an INVITE of ours."


@dataclass(frozen=True, slots=True)
class FurtherLegAnswered:
    """A leg that a transfer or `voice/call` dialled is answered: its billing starts."""

    session_id: str
    leg_id: str
    at_us: int
    dialog: str
    "As in `CallAnswered`."


@dataclass(frozen=True, slots=True)
class FurtherLegEnded:
    """Such a leg is gone, or was never there. Comes once a leg, before `CallEnded`."""

    session_id: str
    leg_id: str
    at_us: int
    disposition: Disposition


@dataclass(frozen=True, slots=True)
class MonitorStarted:
    """The whole call is recorded from now on; both spools grow."""

    session_id: str
    name: str
    "The recording's id, and the name of the caller's spool."
    caller_spool: Path
    heard_spool: Path
    "What the caller hears: prompts and whoever they talk to."
    shape: RecordingShape = PLAIN


@dataclass(frozen=True, slots=True)
class MonitorEnded:
    """A monitor is over since its call is; comes after `CallEnded`."""

    session_id: str
    caller: RecordedAudio
    heard: RecordedAudio
    at_us: int


class CallHandler(Protocol):
    """Fulfilled by the workflows; called by the engine on the control loop."""

    async def on_incoming_call(self, call: IncomingCall) -> AcceptedCall | Refusal:
        """Decide about a call that rings. May take a database transaction, not longer."""
        ...

    def on_leg_rings(self, event: LegRings) -> None:
        """Note soon how that is ended; the call does not wait."""
        ...

    async def on_call_answered(self, event: CallAnswered) -> None:
        """Note that billing has begun."""
        ...

    def on_recording_started(self, event: RecordingStarted) -> None:
        """Begin to encode while the call goes on."""
        ...

    async def on_block_finished(self, event: BlockFinished) -> None:
        """Note the outcome and tell the application."""
        ...

    async def on_call_ended(self, event: CallEnded) -> None:
        """Settle the call and tell the application."""
        ...

    async def on_further_leg_answered(self, event: FurtherLegAnswered) -> None:
        """Note that a second leg costs money from now on."""
        ...

    async def on_further_leg_ended(self, event: FurtherLegEnded) -> None:
        """Note how a second leg ended."""
        ...

    def on_monitor_started(self, event: MonitorStarted) -> None:
        """Begin to encode while the call goes on."""
        ...

    async def on_monitor_ended(self, event: MonitorEnded) -> None:
        """Finish the recording of the whole call and tell the application."""
        ...
