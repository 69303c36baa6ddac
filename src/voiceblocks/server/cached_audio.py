"""Where a deleted recording still lies in caches, and how it leaves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from voiceblocks.adapters import download_cache
from voiceblocks.adapters.render.pool import RenderPool


def audio_purger(rendered: RenderPool, downloads: Path) -> Callable[[str], None]:
    """Return a function that deletes all that was made from a file with this SHA-256."""

    def purge(sha256: str) -> None:
        # The source first: a render that begins now finds nothing.
        download_cache.purge(downloads, sha256)
        rendered.purge_audio_file(sha256)

    return purge
