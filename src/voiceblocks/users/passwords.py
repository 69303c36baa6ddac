"""Passwords: hashed with Argon2id, and what happens to somebody who guesses.

`hash_password` and `is_right` take some 50 ms and 64 MB by design: call them in a thread, and
not many at once.
"""

from __future__ import annotations

from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_LENGTH: Final = 10
MAX_LENGTH: Final = 200

FREE_TRIES: Final = 5
"Wrong passwords in a row that have no consequence."
_FIRST_LOCK_S: Final = 30
_LONGEST_LOCK_S: Final = 3600

_HASHER: Final = PasswordHasher()
# Compared with where there is no such user, so that the time taken does not tell.
_NOBODY: Final = (
    "$argon2id$v=19$m=65536,t=3,p=4$c29tZSBzYWx0IG9mIG91cnM$"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)


def weakness_of(password: str, name: str) -> str | None:
    """Say what is wrong with a password that somebody chose; `None` where it will do."""
    if len(password) < MIN_LENGTH:
        return f"Choose a password of at least {MIN_LENGTH} characters."
    if len(password) > MAX_LENGTH:
        return f"Choose a password of at most {MAX_LENGTH} characters."
    if name.lower() in password.lower() or len(set(password)) < 5:
        return "Choose a password that is harder to guess."
    return None


def hash_password(password: str) -> str:
    """Return the text to store."""
    return _HASHER.hash(password)


def is_right(password_hash: str | None, password: str) -> bool:
    """Whether it is the password; takes as long where there is none."""
    try:
        return _HASHER.verify(password_hash or _NOBODY, password) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False


def locked_for_s(failed_count: int) -> int:
    """How long nobody may try again after so many wrong passwords in a row."""
    beyond = failed_count - FREE_TRIES
    return 0 if beyond < 0 else min(_FIRST_LOCK_S << min(beyond, 10), _LONGEST_LOCK_S)
