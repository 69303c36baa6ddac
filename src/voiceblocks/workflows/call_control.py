"""What workflows may ask of the engine."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Protocol

from voiceblocks.calls.events import EndReason
from voiceblocks.engine.plan import BlockPlan, CallPlan, RoomKey


class CallControl(Protocol):
    """Fulfilled by `engine.call_engine.CallEngine`, and by fakes in tests."""

    def start_block(self, plan: BlockPlan) -> bool:
        """Run a block on a live call; `False` if the call is gone meanwhile."""
        ...

    def place_call(self, plan: CallPlan) -> bool:
        """Call somebody; `False` if the node takes no more calls, or is stopping."""
        ...

    def force_hangup(self, session_id: str, run_id: str | None) -> bool:
        """End a call now, for a hangup block if one asked; `False` if it is gone meanwhile."""
        ...

    def end_call(self, session_id: str, reason: EndReason) -> bool:
        """End a call that nobody asked to end; `False` if it is gone meanwhile."""
        ...

    def moderate(self, session_id: str, action: str) -> bool:
        """`kick`, `mute` or `unmute` a participant; `False` if it is in no room."""
        ...

    def pause(self, session_id: str, names: Collection[str], *, paused: bool) -> bool:
        """Pause recordings by their spools' names, or go on; `False` if none of them runs."""
        ...

    def room_space(self, key: RoomKey) -> int:
        """How many more a room takes now."""
        ...

    def hold_clocks(self, session_id: str) -> AbstractContextManager[None]:
        """While a block for this call is being prepared, nobody is hung up for lack of one."""
        ...

    def say_goodbye(self, session_id: str, leg_id: str, dialog: str) -> None:
        """
        End a leg that an earlier process left: BYE if it was answered, else its ringing.

        Args:
            session_id: Whose story that belongs to.
            leg_id: Of a further leg; empty for the session's own.
            dialog: As the engine had told it.
        """
        ...


class Outbox(Protocol):
    """Fulfilled by `workflows.deliver_notifications.NotificationDelivery`."""

    def wake(self) -> None:
        """A transaction that wrote notifications was committed."""
        ...
