"""Why a call ended, in one sentence for people who do not know SIP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voiceblocks.calls.events import Disposition, EndReason

_UNANSWERED: Final = {
    Disposition.BUSY: "It was never answered: the far end was busy.",
    Disposition.NO_ANSWER: "It was never answered: nobody picked up in time.",
    Disposition.REJECTED: "It was never answered: the far end refused it.",
    Disposition.CANCELLED: "It was never answered: whoever called gave up while it rang.",
    Disposition.FAILED: "It was never answered: it could not be connected.",
}

_INCOMING_UNANSWERED: Final = {
    Disposition.NO_ANSWER: (
        "It was never answered: the application sent no block in time. Look whether its "
        "notification of the call arrived."
    ),
    Disposition.REJECTED: "It was never answered: the application hung up while it rang.",
    Disposition.CANCELLED: "It was never answered: the caller gave up while it rang.",
}

_DURING: Final = {
    EndReason.HANGUP: "The other side hung up during {block}.",
    EndReason.FORCED: "The application forced a hang-up during {block}.",
    EndReason.SERVER_RESTART: "This server was stopped or restarted during {block}.",
    EndReason.MAX_DURATION: "The longest time that was set for the call was over.",
}

_LAST_BLOCK: Final = {
    "hangup": "The application hung up.",
    "transfer": "It was transferred, and that conversation came to its end.",
    "call": "One of the two hung up.",
    "conference": "The participant left the conference, or was removed.",
}

_NOT_TOLD: Final = (
    "The application did not take the notification of {block}, so it never sent a next block, "
    "and the idle time ran out."
)
_BETWEEN: Final = (
    "After {block}, either the other side hung up or the application sent no next block within "
    "the idle time."
)


@dataclass(frozen=True, slots=True)
class LastBlock:
    """The last block of a call that is over."""

    block: str
    reason: EndReason | None
    "`None` where its end was never noted."
    ended_with_it: bool
    "Whether the call ended at the same moment."
    was_told: bool
    "Whether the application took its notification, or there was none."


def why_it_ended(disposition: str | None, last: LastBlock | None, *, incoming: bool) -> str:
    """
    Say it.

    Args:
        disposition: A `Disposition`'s value; `None` while the call is up.
        last: Its last block; `None` where there was none.
        incoming: Whether somebody called us.
    """
    if disposition is None:
        return "It is still going on."
    how = Disposition(disposition)
    if how is not Disposition.ANSWERED:
        return (_INCOMING_UNANSWERED if incoming else {}).get(how, _UNANSWERED[how])
    if last is None:
        return "The other side hung up before the first block."
    named = {"block": last.block}
    if last.reason in _DURING and (last.ended_with_it or last.reason is not EndReason.MAX_DURATION):
        return _DURING[last.reason].format_map(named)
    if last.block in _LAST_BLOCK:
        return _LAST_BLOCK[last.block]
    return (_BETWEEN if last.was_told else _NOT_TOLD).format_map(named)
