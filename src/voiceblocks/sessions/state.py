"""Every rule about a session's state, and nothing else.

A session is what the application drives: it accepts one block at a time, until
an End block (hang up, transfer, a record without notify_url) or a forced hang-up
puts it on its way out. A transfer that comes back where it fails counts as a middle
block. Calls that no application drives (`voice/call`, conferences) are on their way
out from the start. The table below is complete: what it does not hold is
illegal, raises and changes nothing.

Late events (a block that finishes after the call ended) are normal in telephony.
They are illegal here on purpose; workflows record and ignore them.

`docs/sessions.md` is drawn from this table by `render_diagram`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from voiceblocks.errors import ContractViolation, IllegalTransition, RequestRefused
from voiceblocks.sessions.errors import SessionEnded, SessionNotOnHold, SessionNotReady


class SessionState(StrEnum):
    """Where a session stands; the values are stored."""

    RINGING = "ringing"
    "The call came in and is not answered; the application was told."
    EXECUTING = "executing"
    "A block runs."
    WAITING = "waiting"
    "The last block is over; the application has the idle time to send the next one."
    ON_HOLD = "on_hold"
    "The caller hears a message or music, until an unhold."
    ENDING = "ending"
    "No more blocks: an End block runs, or the call is being hung up."
    ENDED = "ended"
    "The leg is gone and the call is settled."


class SessionEvent(StrEnum):
    """What can happen to a session."""

    BLOCK_ACCEPTED = "block_accepted"
    "The application sent a middle block."
    END_BLOCK_ACCEPTED = "end_block_accepted"
    "The application sent a block that ends the call when it is over."
    HOLD_ACCEPTED = "hold_accepted"
    UNHOLD_ACCEPTED = "unhold_accepted"
    "The hold ends with it, and the unhold itself runs as a middle block."
    BLOCK_FINISHED = "block_finished"
    HANGUP_FORCED = "hangup_forced"
    "`hangup` with `force=enabled`, the idle clock, `MAX_CALL_S`, draining."
    CALL_ENDED = "call_ended"


_BLOCKS = frozenset(
    {
        SessionEvent.BLOCK_ACCEPTED,
        SessionEvent.END_BLOCK_ACCEPTED,
        SessionEvent.HOLD_ACCEPTED,
        SessionEvent.UNHOLD_ACCEPTED,
    }
)

_OPEN = MappingProxyType(
    {
        SessionEvent.BLOCK_ACCEPTED: SessionState.EXECUTING,
        SessionEvent.END_BLOCK_ACCEPTED: SessionState.ENDING,
        SessionEvent.HOLD_ACCEPTED: SessionState.ON_HOLD,
        SessionEvent.HANGUP_FORCED: SessionState.ENDING,
        SessionEvent.CALL_ENDED: SessionState.ENDED,
    }
)

TRANSITIONS: Mapping[SessionState, Mapping[SessionEvent, SessionState]] = MappingProxyType(
    {
        SessionState.RINGING: _OPEN,
        SessionState.EXECUTING: MappingProxyType(
            {
                SessionEvent.BLOCK_FINISHED: SessionState.WAITING,
                SessionEvent.HANGUP_FORCED: SessionState.ENDING,
                SessionEvent.CALL_ENDED: SessionState.ENDED,
            }
        ),
        SessionState.WAITING: _OPEN,
        SessionState.ON_HOLD: MappingProxyType(
            {
                SessionEvent.UNHOLD_ACCEPTED: SessionState.EXECUTING,
                SessionEvent.HANGUP_FORCED: SessionState.ENDING,
                SessionEvent.CALL_ENDED: SessionState.ENDED,
            }
        ),
        SessionState.ENDING: MappingProxyType(
            {
                # The End block's own end, or that of the block that a hang-up cut off.
                SessionEvent.BLOCK_FINISHED: SessionState.ENDING,
                # Asking twice is fine.
                SessionEvent.HANGUP_FORCED: SessionState.ENDING,
                SessionEvent.CALL_ENDED: SessionState.ENDED,
            }
        ),
        SessionState.ENDED: MappingProxyType({}),
    }
)

_OVER = frozenset({SessionState.ENDING, SessionState.ENDED})

LIVE_STATES: tuple[SessionState, ...] = tuple(
    state for state in SessionState if state is not SessionState.ENDED
)
"States of a session whose leg may still be there."


def advance(state: SessionState, event: SessionEvent) -> SessionState:
    """
    Return the state after `event`.

    Raises:
        IllegalTransition: If the table has no such step.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransition(f"a session that is {state} knows no {event}") from None


def refusal_for(state: SessionState, event: SessionEvent) -> type[RequestRefused]:
    """
    Return what an application is told when `event` is illegal in `state`.

    Events that no application sends give `IllegalTransition` itself.

    Raises:
        ContractViolation: If the step is legal, so that there is nothing to refuse.
    """
    if event in TRANSITIONS[state]:
        raise ContractViolation(f"a session that is {state} accepts {event}")
    if event in _BLOCKS and state not in _OVER:
        return SessionNotOnHold if event is SessionEvent.UNHOLD_ACCEPTED else SessionNotReady
    if event in _BLOCKS or event is SessionEvent.HANGUP_FORCED:
        return SessionEnded
    return IllegalTransition


def render_diagram() -> str:
    """Return the table as a mermaid state diagram, without a fence."""
    lines = [
        "stateDiagram-v2",
        f"    [*] --> {SessionState.RINGING}: incoming call",
        f"    [*] --> {SessionState.EXECUTING}: dial",
    ]
    for state, row in TRANSITIONS.items():
        lines += [f"    {state} --> {target}: {event}" for event, target in row.items()]
    lines.append(f"    {SessionState.ENDED} --> [*]")
    return "\n".join(lines) + "\n"
