"""What a runner is, and what it may do with a call."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from voiceblocks.blocks.recording_shape import RecordingShape
from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import Disposition, EndReason, RecordedAudio
from voiceblocks.engine.digits import Digit
from voiceblocks.engine.media.handles import Playback, Tap
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.speech.interfaces import Clip

if TYPE_CHECKING:
    from voiceblocks.engine.call_leg import CallLeg
    from voiceblocks.engine.parts import EngineParts
    from voiceblocks.engine.rooms import Seat

T = TypeVar("T")


class CallGone(Exception):
    """The leg ended while a runner waited."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a block ended."""

    reason: EndReason
    audio: RecordedAudio | None = None
    digits: str = field(default="", repr=False)
    reached: Disposition | None = None
    "How the far end of a dial or transfer was reached."
    ends_call: bool = False
    "Whether the call is hung up because of it."
    ends_by: CallEndCause | None = None
    "What is told of that; the application's wish if omitted."


class RunnerCall(Protocol):
    """The call as a runner sees it."""

    async def play(self, clips: Sequence[Clip], *, then_recorded: bool = False) -> Playback | None:
        """
        Play clips one after another to their end; stops where it is cancelled.

        Args:
            clips: What is heard.
            then_recorded: Keep what the caller says from its end on, for `record(after=...)`.

        Returns:
            What was played; `None` if that was nothing.

        Raises:
            CallGone: If the leg ended first.
        """
        ...

    async def sleep(self, duration_s: float) -> None:
        """
        Let time pass.

        Raises:
            CallGone: If the leg ended first.
        """
        ...

    def record(
        self, name: str, *, limit_ms: int, shape: RecordingShape, after: Playback | None
    ) -> Tap:
        """
        Record from now on, or from the end of what was just played, and forget earlier digits.

        The tap is the runner's to close.
        """
        ...

    async def next_digit(self) -> Digit:
        """The next digit that nobody took yet; may be cancelled without loss."""
        ...

    async def until_gone(self) -> None:
        """Return when the leg has ended."""
        ...

    async def unless_gone(self, awaitable: Awaitable[T]) -> T:
        """
        Wait for `awaitable`, which is cancelled if the leg ends first.

        Raises:
            CallGone: If the leg ended first.
        """
        ...

    @property
    def gone_reason(self) -> EndReason:
        """Why the leg ended; only meaningful once it did."""
        ...

    @property
    def gone_at(self) -> float:
        """Monotonic seconds at which the leg ended; only meaningful once it did."""
        ...


class ConnectableCall(RunnerCall, Protocol):
    """The call as those runners see it that deal with more than its first leg."""

    seat: Seat | None
    "The place in a room, while it has one: for moderators."

    @property
    def session_id(self) -> str:
        """Whose call it is."""
        ...

    @property
    def leg(self) -> CallLeg:
        """The first leg."""
        ...

    @property
    def parts(self) -> EngineParts:
        """What all legs of the engine share."""
        ...

    @property
    def has_gone(self) -> bool:
        """Whether the first leg has ended."""
        ...

    async def connect(self) -> None:
        """
        Bring the first leg up, where it is not, and tell the workflows.

        Raises:
            CallGone: If it ended instead.
        """
        ...

    async def until_unheld(self) -> None:
        """
        Return when the block comes that takes the call from hold.

        Raises:
            CallGone: If the leg ended first.
        """
        ...

    def monitor(self, name: str, shape: RecordingShape) -> None:
        """
        Record the whole call from now on, to its end.

        Raises:
            CapacityExceeded: If no recording ring is free.
        """
        ...

    async def tell(self, telling: Awaitable[None]) -> bool:
        """Wait for a handler; what cannot be written down is logged, and `False` returned."""
        ...


class Runner(Protocol):
    """One kind of block at work."""

    def needs_answer(self, plan: BlockPlan) -> bool:
        """Whether a call that still rings must be answered first."""
        ...

    async def run(self, call: ConnectableCall, plan: BlockPlan) -> Outcome:
        """
        Run the block to its end.

        Raises:
            CallGone: If the leg ended and there is nothing to report but that.
        """
        ...
