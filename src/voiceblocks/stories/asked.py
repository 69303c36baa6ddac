"""What is told of a request while it is carried out, by whoever does a part of it.

Context variables, since a part of a `msg` is fetched and spoken far below the request that
asked for it, and none of that knows of calls.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from voiceblocks.stories.model import PromptMade


@dataclass(slots=True)
class PromptTrace:
    """One part of a `msg` on its way."""

    was_cached: bool = False


PROMPTS: ContextVar[list[PromptMade] | None] = ContextVar("prompts", default=None)
"Where the parts of the present request are noted; `None` where nobody keeps them."

PROMPT: ContextVar[PromptTrace | None] = ContextVar("prompt", default=None)
"The part that is being made."


def note_cached() -> None:
    """The present part was here already."""
    trace = PROMPT.get()
    if trace is not None:
        trace.was_cached = True
