"""Where a deleted recording still lies in caches, and how it leaves them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from voiceblocks.adapters import download_cache
from voiceblocks.adapters.render.pool import RenderPool


def audio_purges(rendered: RenderPool, downloads: Path) -> tuple[Callable[[str], None], ...]:
    """Return functions that together delete all that was made from a file with a SHA-256."""
    # The source first: what begins to render it now finds nothing.
    return functools.partial(download_cache.purge, downloads), rendered.purge_audio_file
