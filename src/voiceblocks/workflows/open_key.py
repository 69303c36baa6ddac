"""The server key, made where there is none yet: but not in place of one that is missed.

A folder that was not mounted, a backup without its key or a second node would else get a key of
its own, with which no token, no password of a trunk and no link is good, and nobody would say why.
"""

from __future__ import annotations

from pathlib import Path

from voiceblocks.accounts.secret_key import load_or_create
from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.database import accounts
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import StartupError


def open_key(database: Database, path: Path) -> SecretKey:
    """
    Return the server key. Blocks.

    Args:
        database: Whether anything was sealed with a key before.
        path: The key file.

    Raises:
        StartupError: If the file is missing, but its key is needed; and as `load_or_create`.
    """
    if not path.exists() and database.run_sync(accounts.has_tokens):
        raise StartupError(
            f"The secret key {path} is missing, and without it no access token in the database is "
            "good: put it back from the backup, or say where it is with "
            "VOICEBLOCKS_SECRET_KEY_FILE. If it is lost, make a new one with "
            f"`(umask 077; openssl rand -hex 32 > {path})`, and new tokens with "
            "`voiceblocks app token add`"
        )
    return load_or_create(path)
