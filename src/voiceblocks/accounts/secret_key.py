"""The file that holds the server key.

One key a line as 64 hex digits: the first is the current one, those below are former
ones, kept so that links and rows which they made can still be read. The file is made
once, is readable by its owner alone, and belongs into the backup.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from voiceblocks.accounts.tokens import KEY_BYTES, SecretKey
from voiceblocks.errors import StartupError


def load_or_create(path: Path) -> SecretKey:
    """
    Return the current key of `path` with the former ones, making the file where there is none.

    Several processes may do this at once: all get the same key.

    Raises:
        StartupError: As for `load_keys`, or if the file cannot be made.
    """
    if not path.exists():
        try:
            _create(path, SecretKey.generate())
        except OSError as error:
            raise StartupError(
                f"The secret key {path} cannot be made: {error.strerror or error}."
            ) from error
    current, *former = load_keys(path)
    return SecretKey(current.key, tuple(former))


def load_keys(path: Path) -> tuple[SecretKey, ...]:
    """
    Return all keys of `path`, the current one first.

    Raises:
        StartupError: If others than the owner may read the file, or it holds no key.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise StartupError(
                    f"The secret key {path} may be read by others than its owner "
                    f"(mode {mode:04o}); run: chmod 600 {path}"
                )
            lines = file.read().split()
    except OSError as error:
        raise StartupError(
            f"The secret key {path} cannot be read: {error.strerror or error}."
        ) from error
    try:
        keys = tuple(SecretKey(bytes.fromhex(line.decode("ascii"))) for line in lines)
    except ValueError as error:
        raise StartupError(_damaged(path)) from error
    if not keys:
        raise StartupError(_damaged(path))
    return keys


def _damaged(path: Path) -> str:
    return (
        f"The secret key {path} is damaged: each line must be {KEY_BYTES * 2} hex digits; "
        "restore it from the backup, since tokens and links cannot be read without it."
    )


def _create(path: Path, key: SecretKey) -> None:
    # Complete and synced under another name first, then linked: a reader never sees half
    # a key, and of several makers exactly one wins, because link refuses an existing name.
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.key.hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
