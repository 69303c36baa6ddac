"""What a workflow hands to the engine: a block to run, a call to place."""

from __future__ import annotations

from dataclasses import dataclass

from voiceblocks.blocks.command import BlockRequest
from voiceblocks.blocks.recording_shape import PLAIN, RecordingShape
from voiceblocks.speech.interfaces import Clip
from voiceblocks.trunks.model import TrunkRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingLegPlan:
    """A number to be called, allowed and priced already."""

    dest: str
    "`+` and digits. Personal data: masked in logs."
    caller: str
    "What the far end sees: `+…`, or `private`."
    routes: tuple[TrunkRoute, ...]
    "The trunks that carry it, best first; the next is tried where one fails before it rings."
    ring_s: float
    "How long it may ring."
    leg_id: str = ""
    "Of a further leg; empty for the first leg of a call, which is the session's own."


@dataclass(frozen=True, slots=True)
class RoomKey:
    """A conference room; its name is the application's own business."""

    app_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferPlan:
    """Whom the caller is connected with: numbers (the first to answer wins), or a room."""

    legs: tuple[OutgoingLegPlan, ...] = ()
    room: RoomKey | None = None
    ring_tone: Clip | None = None
    "Looped while the far end rings without early media."
    max_talk_s: float | None = None
    "The conversation ends after so long, from the answer."


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """One block, checked and stored, with its prompt already rendered."""

    session_id: str
    run_id: str
    command: BlockRequest
    prompt: tuple[Clip, ...]
    "What the block says first; empty where it says nothing. What a hold repeats."
    beep: Clip | None = None
    recording_name: str | None = None
    "Name of the spool, for blocks that record; of the caller's, for a monitor."
    recording_shape: RecordingShape = PLAIN
    hangs_up_after: bool = False
    "Without notify_url a block plays its prompt and the call ends (decision 3)."
    transfer: TransferPlan | None = None
    "For transfer, and for the second half of `voice/call` and conferences."


@dataclass(frozen=True, slots=True)
class CallPlan:
    """A call that we place; its first block runs from the start."""

    first_leg: OutgoingLegPlan
    block: BlockPlan
    "`dial`, `call` or `conference`."
    max_duration_s: float | None = None
    "The call ends so long after its answer."
