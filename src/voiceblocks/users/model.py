"""People who sign in to the console, and what their browsers carry. Not the API's applications.

A browser carries a random token; the database holds only its SHA-256, so a stolen backup signs
nobody in.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from voiceblocks.ids import AccountId, UserId

NAME_MAX: Final = 64
VISIT_S: Final = 12 * 3600
"How long a browser stays signed in without asking for anything."
LINK_S: Final = 3 * 24 * 3600
"Life of a sign-in link."


class Role(StrEnum):
    """What somebody may see; the values are stored."""

    OPERATOR = "operator"
    "Everything on this server."
    ACCOUNT = "account"
    "What belongs to one account."


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may sign in."""

    id: UserId
    name: str
    role: Role
    account_id: AccountId | None
    "Whose things an account's user sees; `None` for an operator."
    password_hash: str | None = field(default=None, repr=False)
    "Argon2id in its own text form; `None` until the first sign-in by link."
    failed_count: int = 0
    "Wrong passwords since the last right one."
    locked_until_us: int | None = None
    disabled_us: int | None = None
    created_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInLink:
    """Lets its holder choose a password, once."""

    lookup: bytes
    user_id: UserId
    expires_us: int
    used_us: int | None = None
    created_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A browser that is signed in."""

    lookup: bytes
    user_id: UserId
    created_us: int
    seen_us: int
    "When it last asked for something, to the minute."


def new_secret() -> str:
    """A token of 256 random bits for a cookie or a link."""
    return secrets.token_urlsafe(32)


def lookup_of(secret: str) -> bytes:
    """The 32 bytes by which a token is found; any text is accepted."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def form_token(secret: str) -> str:
    """
    What each form of a visit carries, so that another site cannot send one (CSRF).

    Derived from the cookie's token, which no script and no other site can read.
    """
    return hmac.new(secret.encode(), b"voiceblocks:console form", hashlib.sha256).hexdigest()
