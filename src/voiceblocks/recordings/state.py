"""Every rule about a recording's state, and nothing else.

The row is made when the Record block is accepted, before there is any audio, so
that a crash at any instant leaves something to finish. There is no state for
"the beep has sounded": whether samples exist is the spool's knowledge, and the
end of the block tells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from voiceblocks.errors import IllegalTransition


class RecordingState(StrEnum):
    """Where a recording stands; the values are stored."""

    PENDING = "pending"
    "The block was accepted; there may be a spool that grows."
    FINISHING = "finishing"
    "The spool is complete; it is being encoded and stored."
    READY = "ready"
    "The MP3 is stored and can be fetched."
    FAILED = "failed"
    "There is no audio: nothing was recorded, or it could not be finished."
    DELETED = "deleted"
    "The audio is gone on request; the row stays for the books."


class RecordingEvent(StrEnum):
    """What can happen to a recording."""

    AUDIO_COMPLETE = "audio_complete"
    "The block ended and left samples (also found so after a crash)."
    NOTHING_RECORDED = "nothing_recorded"
    "The block ended before the first sample, or its spool is lost."
    STORED = "stored"
    FINISHING_FAILED = "finishing_failed"
    "Encoding or storing was given up."
    ERASED = "erased"
    "Deleted by the customer or by its age."


TRANSITIONS: Mapping[RecordingState, Mapping[RecordingEvent, RecordingState]] = MappingProxyType(
    {
        RecordingState.PENDING: MappingProxyType(
            {
                RecordingEvent.AUDIO_COMPLETE: RecordingState.FINISHING,
                RecordingEvent.NOTHING_RECORDED: RecordingState.FAILED,
            }
        ),
        RecordingState.FINISHING: MappingProxyType(
            {
                RecordingEvent.STORED: RecordingState.READY,
                RecordingEvent.FINISHING_FAILED: RecordingState.FAILED,
            }
        ),
        RecordingState.READY: MappingProxyType({RecordingEvent.ERASED: RecordingState.DELETED}),
        # A failed one may still have a damaged spool that must go.
        RecordingState.FAILED: MappingProxyType({RecordingEvent.ERASED: RecordingState.DELETED}),
        RecordingState.DELETED: MappingProxyType({}),
    }
)

UNFINISHED_STATES: tuple[RecordingState, ...] = (RecordingState.PENDING, RecordingState.FINISHING)
"States that recovery after a crash has to finish."


def advance(state: RecordingState, event: RecordingEvent) -> RecordingState:
    """
    Return the state after `event`.

    Raises:
        IllegalTransition: If the table has no such step.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransition(f"a recording that is {state} knows no {event}") from None
