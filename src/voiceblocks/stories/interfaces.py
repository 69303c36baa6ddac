"""Who takes a call's events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from voiceblocks.stories.model import AnyEvent, PromptMade


class StoryKeeper(Protocol):
    """Keeps them; fulfilled by `workflows.keep_story`."""

    def note(self, session_id: str, event: AnyEvent) -> None:
        """Take an event of a call. Returns at once and never raises."""
        ...


class RequestListener(Protocol):
    """Hears of answered requests; fulfilled by `workflows.keep_story`."""

    def note_request(
        self,
        app_id: str,
        calls: Sequence[str],
        *,
        api: str,
        status: str,
        duration_s: float,
        prompts: Sequence[PromptMade],
    ) -> None:
        """
        Take a request that was just answered. Returns at once and never raises.

        Args:
            app_id: Who asked; another application's calls hear nothing of it.
            calls: Which calls it was about, by session or transaction.
            api: Path below `/open/`.
            status: Of the answer.
            duration_s: From its coming to its answer.
            prompts: Its `msg`, part by part.
        """
        ...


class Unheard:
    """Takes events and requests, and keeps nothing."""

    def note(self, session_id: str, event: AnyEvent) -> None:
        """Forget it."""

    def note_request(
        self,
        app_id: str,
        calls: Sequence[str],
        *,
        api: str,
        status: str,
        duration_s: float,
        prompts: Sequence[PromptMade],
    ) -> None:
        """Forget it."""


UNHEARD: Final = Unheard()
