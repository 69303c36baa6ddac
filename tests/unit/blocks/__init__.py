from __future__ import annotations

from collections.abc import Callable

from voiceblocks.errors import InvalidRequest


def status_of(read: Callable[[], object]) -> str | None:
    """The status that reading gives, `None` where it succeeds; any other exception passes."""
    try:
        read()
    except InvalidRequest as refused:
        return refused.status
    return None
