"""The node's folders: made at the start, checked for what they must hold."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from voiceblocks.errors import StartupError
from voiceblocks.settings import Settings

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (tmpfs is the point: it survives kill -9, not power)
# A ring row is about 85 kB and only touched pages count; containers default to 64 MB.
LEAST_SHARED_MEMORY_BYTES = 48 << 20


@dataclass(frozen=True, slots=True)
class Folders:
    """Absolute paths, all existing."""

    root: Path
    spools: Path
    rings: Path
    prompts: Path
    downloads: Path
    work: Path


def make_folders(settings: Settings) -> Folders:
    """
    Make what is missing.

    Raises:
        StartupError: If the data folder cannot be written.
    """
    root = settings.root
    folders = Folders(
        root=root,
        spools=root / "spools",
        rings=settings.ring_dir or _rings(root),
        prompts=root / "cache" / "prompts",
        downloads=root / "cache" / "downloads",
        work=root / "work",
    )
    try:
        for folder in (
            folders.root,
            folders.spools,
            folders.rings,
            folders.prompts,
            folders.downloads,
            folders.work,
        ):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StartupError(
            f"The folder {error.filename} cannot be made ({error.strerror}). "
            "Set VOICEBLOCKS_DATA_DIR to a folder that this user may write."
        ) from error
    return folders


def _rings(root: Path) -> Path:
    """A folder on tmpfs that belongs to this data folder; on disk where there is no room."""
    try:
        status = os.statvfs(SHARED_MEMORY)
    except OSError:
        return root / "rings"
    if status.f_bavail * status.f_frsize < LEAST_SHARED_MEMORY_BYTES:
        return root / "rings"
    if not os.access(SHARED_MEMORY, os.W_OK):
        return root / "rings"
    name = hashlib.sha256(str(root).encode()).hexdigest()[:16]
    return SHARED_MEMORY / f"voiceblocks-{os.getuid()}-{name}"
