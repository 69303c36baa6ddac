"""States of a notification, and the only rules that change them.

Theory of operation: a notification is born `PENDING` in the transaction of the fact
that it tells. It is settled by exactly one event, and stays so unless an operator has it
sent again. Events that come later (an answer to a request that was in flight while the
application acted) are normal: whoever receives them records the attempt and asks
`is_settled` first.
"""

from __future__ import annotations

from enum import StrEnum

from voiceblocks.errors import IllegalTransition


class NotificationState(StrEnum):
    """Where a notification stands; the values are what the database holds."""

    PENDING = "pending"
    "To be sent, being sent, or waiting for its next attempt."
    DELIVERED = "delivered"
    "An attempt was answered with something that counts as received."
    ACTED_ON = "acted_on"
    "The application had a block accepted after this was sent, so it has read it (decision 2)."
    SUPERSEDED = "superseded"
    "The call ended before it was delivered, and nothing in it matters any more."
    GIVEN_UP = "given_up"
    "No attempt was answered in the days that a lasting one is kept for, or its URL is gone."


class NotificationEvent(StrEnum):
    """What settles a notification."""

    ANSWERED = "answered"
    BLOCK_ACCEPTED = "block_accepted"
    CALL_ENDED = "call_ended"
    "Happens only to notifications that are not lasting."
    EXHAUSTED = "exhausted"
    "The schedule has no further attempt."
    GONE = "gone"
    "Its URL says, now or earlier, that nobody is there any more."
    RESENT = "resent"
    "An operator has it sent again: once settled, whatever had settled it."


_AGAIN = {NotificationEvent.RESENT: NotificationState.PENDING}

TRANSITIONS: dict[NotificationState, dict[NotificationEvent, NotificationState]] = {
    NotificationState.PENDING: {
        NotificationEvent.ANSWERED: NotificationState.DELIVERED,
        NotificationEvent.BLOCK_ACCEPTED: NotificationState.ACTED_ON,
        NotificationEvent.CALL_ENDED: NotificationState.SUPERSEDED,
        NotificationEvent.EXHAUSTED: NotificationState.GIVEN_UP,
        NotificationEvent.GONE: NotificationState.GIVEN_UP,
    },
    NotificationState.DELIVERED: _AGAIN,
    NotificationState.ACTED_ON: _AGAIN,
    NotificationState.SUPERSEDED: _AGAIN,
    NotificationState.GIVEN_UP: _AGAIN,
}


def is_settled(state: NotificationState) -> bool:
    """Whether nothing is sent any more."""
    return state is not NotificationState.PENDING


def advance(state: NotificationState, event: NotificationEvent) -> NotificationState:
    """Return the state after `event`.

    Raises:
        IllegalTransition: If the notification is already settled.
    """
    following = TRANSITIONS[state].get(event)
    if following is None:
        raise IllegalTransition(f"a notification that is {state} cannot be {event}")
    return following
