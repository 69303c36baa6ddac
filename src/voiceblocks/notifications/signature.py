"""The signature by which an application knows that a notification is ours."""

from __future__ import annotations

import hashlib
import hmac

HEADER = "X-Hoiio-Signature"


def signature(body: bytes, access_token: str) -> str:
    """Return lower-case hex HMAC-SHA256 of the raw body, keyed with the access token."""
    return hmac.new(access_token.encode(), body, hashlib.sha256).hexdigest()


def verifies(body: bytes, access_token: str, value: str) -> bool:
    """Whether `value` is the signature of `body`, in constant time."""
    return hmac.compare_digest(signature(body, access_token).encode(), value.encode())
