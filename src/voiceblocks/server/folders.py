"""The node's folders: made at the start, checked for what they must hold."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from voiceblocks.engine.media.ring import arena_bytes, rows_for
from voiceblocks.errors import StartupError
from voiceblocks.settings import Settings

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (tmpfs is the point: it survives kill -9, not power)
SPARE_SHARED_MEMORY_BYTES = 1 << 20
"Left to others; the arena itself is reserved as a whole, and containers default to 64 MB."

LOCK_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Folders:
    """Absolute paths, all existing."""

    root: Path
    spools: Path
    rings: Path
    earlier_rings: tuple[Path, ...]
    "Where a process before this one may have left rings, when it found more or less room."
    prompts: Path
    downloads: Path
    work: Path
    recordings: Path
    "Finished ones, all of them or until a remote store has them."


def make_folders(settings: Settings) -> Folders:
    """
    Make what is missing.

    Raises:
        StartupError: If the data folder cannot be written.
    """
    root = settings.root
    rings = settings.ring_dir or _rings(root, _arena_bytes(settings))
    folders = Folders(
        root=root,
        spools=root / "spools",
        rings=rings,
        earlier_rings=tuple(
            folder
            for folder in (_rings_in_memory(root), _rings_on_disk(root))
            if folder != rings and folder.is_dir()
        ),
        prompts=prompts_folder(root),
        downloads=downloads_folder(root),
        work=root / "work",
        recordings=root / "recordings",
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
    _require_own(folders.rings)
    return folders


def prompts_folder(root: Path) -> Path:
    """Where rendered prompts are kept, whether it is there or not."""
    return root / "cache" / "prompts"


def downloads_folder(root: Path) -> Path:
    """Where downloaded audio is kept, whether it is there or not."""
    return root / "cache" / "downloads"


def _require_own(folder: Path) -> None:
    """
    Refuse a folder that somebody else made: everybody may write to /dev/shm and knows the name.

    Raises:
        StartupError: If it is a link, another user's, or open to others.
    """
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise StartupError(
            f"{folder} holds audio while it is recorded, and others could read or replace it. "
            "Delete it, or set VOICEBLOCKS_RING_DIR to a folder of this user alone."
        )


def lock_folder(root: Path, patience_s: float = LOCK_PATIENCE_S) -> int:
    """
    Take the data folder for this process alone; blocks.

    Two servers on one folder would each take the other's live calls for what a crash left.
    A killed predecessor may need a moment to go, so it is waited for.

    Returns:
        A descriptor: the lock lasts until it is closed, or the process ends in any way.

    Raises:
        StartupError: If another server keeps it.
    """
    try:
        fd = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartupError(f"{root / 'lock'} cannot be opened ({error.strerror})") from error
    give_up_at = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < give_up_at:
                time.sleep(0.05)
                continue
            os.close(fd)
            raise StartupError(
                f"Another server runs on {root}. Stop it, or give this one a folder of its own: "
                "set VOICEBLOCKS_DATA_DIR."
            ) from None
        except OSError as error:
            os.close(fd)
            raise StartupError(f"{root / 'lock'} cannot be locked ({error.strerror})") from error
        return fd


def free_bytes(folders: tuple[Path, ...]) -> int:
    """Room for this user on the fullest of the disks that these folders are on."""
    statuses = [os.statvfs(folder) for folder in folders]
    return min(status.f_bavail * status.f_frsize for status in statuses)


def is_locked(root: Path) -> bool:
    """Whether a server runs on this data folder now."""
    try:
        fd = os.open(root / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared and at once given back: a server that starts in this moment waits for it.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _arena_bytes(settings: Settings) -> int:
    return arena_bytes(rows_for(settings.effective_media_workers * settings.calls_per_worker))


def _rings(root: Path, needed_bytes: int) -> Path:
    """A folder on tmpfs that belongs to this data folder; on disk where there is no room."""
    in_memory = _rings_in_memory(root)
    try:
        status = os.statvfs(SHARED_MEMORY)
    except OSError:
        return _rings_on_disk(root)
    # What a crash left there is ours, and goes as soon as it is salvaged.
    room_bytes = status.f_bavail * status.f_frsize + _used_bytes(in_memory)
    is_enough = room_bytes >= needed_bytes + SPARE_SHARED_MEMORY_BYTES
    if not is_enough or not os.access(SHARED_MEMORY, os.W_OK):
        return _rings_on_disk(root)
    return in_memory


def _rings_in_memory(root: Path) -> Path:
    name = hashlib.sha256(str(root).encode()).hexdigest()[:16]
    return SHARED_MEMORY / f"voiceblocks-{os.getuid()}-{name}"


def _rings_on_disk(root: Path) -> Path:
    return root / "rings"


def _used_bytes(folder: Path) -> int:
    try:
        return sum(path.stat().st_blocks * 512 for path in folder.iterdir())
    except OSError:
        return 0
