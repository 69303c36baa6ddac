"""The signatures by which an application knows that a notification is ours, and new.

Two stand in each request. `X-Hoiio-Signature`, as the original had it: lower-case hex
HMAC-SHA256 over the raw body. And that of Standard Webhooks (standardwebhooks.com):
`webhook-signature: v1,BASE64` over `webhook-id.webhook-timestamp.body`, which an old
request that somebody sends again does not pass for long. The key of both is the access
token's bytes; libraries for Standard Webhooks want it as `secret_of` writes it.

Both sides import this module: whoever signs and whoever checks cannot drift apart.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

HOIIO_HEADER = "X-Hoiio-Signature"
ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
_VERSION = "v1,"


def headers(event_id: str, at_s: int, body: bytes, access_token: str) -> dict[str, str]:
    """Return all headers that sign one attempt, begun at `at_s` (Unix seconds)."""
    return {
        HOIIO_HEADER: hoiio_signature(body, access_token),
        ID_HEADER: event_id,
        TIMESTAMP_HEADER: str(at_s),
        SIGNATURE_HEADER: standard_signature(event_id, str(at_s), body, access_token),
    }


def hoiio_signature(body: bytes, access_token: str) -> str:
    """Return lower-case hex HMAC-SHA256 of the raw body, keyed with the access token."""
    return hmac.new(access_token.encode(), body, hashlib.sha256).hexdigest()


def standard_signature(event_id: str, timestamp: str, body: bytes, access_token: str) -> str:
    """Return `v1,BASE64` over id, timestamp and body, exactly as their headers say them."""
    signed = f"{event_id}.{timestamp}.".encode() + body
    digest = hmac.new(access_token.encode(), signed, hashlib.sha256).digest()
    return _VERSION + base64.b64encode(digest).decode("ascii")


def secret_of(access_token: str) -> str:
    """Return the access token as Standard Webhooks' libraries take their secret."""
    return "whsec_" + base64.b64encode(access_token.encode()).decode("ascii")


def hoiio_holds(body: bytes, access_token: str, value: str) -> bool:
    """Whether `value` is the original's signature of `body`; in constant time."""
    return _equal(hoiio_signature(body, access_token), value)


def standard_holds(
    event_id: str, timestamp: str, body: bytes, access_token: str, value: str
) -> bool:
    """Whether one of the signatures in `value` (separated by blanks) is right; constant time."""
    wanted = standard_signature(event_id, timestamp, body, access_token)
    held = [_equal(wanted, one) for one in value.split(" ")]
    return any(held)


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
