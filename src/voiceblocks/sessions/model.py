"""A session (one call, as its application drives it), its further legs and its blocks' runs.

Plain values: what is stored, field by field. Ids of other nouns are typed, their
enumerations are plain text, since nouns do not import each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voiceblocks.ids import (
    AccountId,
    AppId,
    BlockRunId,
    LegId,
    RecordingId,
    SessionId,
    TrunkId,
    TxnRef,
)
from voiceblocks.money import NOTHING, Thousandths
from voiceblocks.sessions.state import SessionState


class Direction(StrEnum):
    """Which way the call was set up, seen from our server; the values are stored."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class SessionKind(StrEnum):
    """What the application asked for; the values are stored."""

    IVR = "ivr"
    "A call that the application drives, block by block."
    CALL = "call"
    "`voice/call`: two numbers that are connected; takes no blocks."
    CONFERENCE = "conference"
    "A participant that a conference called; takes no blocks."


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One call: what the customer pays for, and what its application drives."""

    id: SessionId
    'With its node, e.g. `"S-1-0f9k2m4q7w1x8z2a"`.'
    txn_ref: TxnRef
    node: str
    account_id: AccountId
    app_id: AppId
    direction: Direction
    kind: SessionKind = SessionKind.IVR
    from_number: str
    """E.164, or `"private"`, or as sent where it is no number; of a call that we placed what
    is shown. Personal data."""
    to_number: str
    "Our number that was called, or the number that we called."
    state: SessionState
    last_block: str
    'The block that the application sent last, `"answer"` before the first.'
    last_notify_url: str | None
    "Where the next notification between blocks goes."
    last_tag: str
    "Empty where the application gave none."
    run_id: BlockRunId | None
    "The block that runs now."
    room: str | None = None
    "The conference room that the call is or was in, by its name within the application."
    monitor_id: RecordingId | None = None
    "The recording of the whole call, once it was asked for."
    max_duration_s: int | None = None
    "How long the call may last, where the application said so."
    notification_count: int
    "Sequence number of the newest notification; 0 before the first."
    currency: str
    rate: Thousandths
    "Price of a minute of the first leg."
    block_s: int = 60
    "Length of the blocks in which the first leg is billed, each one as a whole."
    held: Thousandths = NOTHING
    "What is kept back of the account's credit for all legs; 0 once the call is settled."
    paid_until_us: int | None = None
    "Until when `held` pays for all legs that are up; `None`: none costs anything (yet)."
    metered_us: int | None = None
    "When it was last seen alive and its hold renewed."
    credit_ended_us: int | None = None
    "When it had to be ended since the credit was used up."
    debit: Thousandths | None
    "What the call cost with all its legs; `None` until it is settled."
    duration_min: int | None
    "Started minutes; `None` until it is settled."
    disposition: str | None
    "Value of `calls.events.Disposition`; `None` until the call has ended."
    end_cause: str | None = None
    "Value of `calls.cause.CallEndCause`; `None` before the end, and where nobody noted it."
    end_status: int | None = None
    "The SIP status that refused a call of ours."
    dialog: str | None
    "What the engine needs to end the leg after a restart; opaque. `None` where nothing needs to."
    created_us: int
    answered_us: int | None
    ended_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherLeg:
    """A leg beside the session's own: one that a transfer dials, or the second of `voice/call`."""

    id: LegId
    session_id: SessionId
    account_id: AccountId
    number: int
    "Counts from 2 within the session, whose own leg is the first."
    dest: str
    "`+` and digits. Personal data."
    caller: str
    'What the far end sees: `+…`, or `"private"`.'
    trunk_id: TrunkId | None = None
    "The trunk that was tried first."
    rate: Thousandths
    "Price of a minute."
    block_s: int = 60
    "Length of the blocks in which it is billed."
    debit: Thousandths | None = None
    "What it cost; `None` until the session is settled."
    disposition: str | None = None
    "Value of `calls.events.Disposition`; `None` until it has ended."
    dialog: str | None = None
    "What the engine needs to end the leg after a restart; opaque. `None` where nothing needs to."
    created_us: int
    answered_us: int | None = None
    ended_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRun:
    """One execution of one block."""

    id: BlockRunId
    session_id: SessionId
    block: str
    'Name in the API, e.g. `"record"`.'
    notify_url: str | None
    tag: str
    recording_id: RecordingId | None
    created_us: int
    finished_us: int | None
    "`None` while it runs."
    end_reason: str | None
    "Value of `calls.events.EndReason`; `None` while it runs."
