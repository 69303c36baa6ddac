"""What an application did not take of a call's notifications: mostly why nothing went on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voiceblocks.notifications.model import Attempt, Notification
from voiceblocks.workflows.tell_story import Story

_MOST: Final = 3
_ERROR_MOST: Final = 120


@dataclass(frozen=True, slots=True)
class Trouble:
    """A notification whose last attempt was no success."""

    what: str
    "Sentences: what came back, and where to look."
    notification_id: str


def troubles_of(story: Story) -> tuple[Trouble, ...]:
    """Return the first ones, in the order of their notifications; nothing where all went well."""
    last = story.last_attempts
    found = []
    for one in story.notifications:
        attempt = last.get(one.id)
        if attempt is not None and (what := _words(one, attempt)):
            found.append(Trouble(what, one.id))
    return tuple(found[:_MOST])


def _words(one: Notification, attempt: Attempt) -> str:
    said = f"notification {one.sequence} ({one.block})"
    if attempt.http_status is None:
        error = (attempt.error or "no answer")[:_ERROR_MOST]
        return (
            f"The application was not reached with {said}: {error}. Is it running, and is "
            f"{one.host} where it listens?"
        )
    if attempt.http_status // 100 == 2:
        return ""
    return f"The application answered {said} with HTTP {attempt.http_status}: its own log says why."
