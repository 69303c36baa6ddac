"""Signed links to recordings (decision 7).

The signature covers the path, `Expires` and `KeyId`. GET and HEAD share one, every
other method has none: who was given a link may look at it in both ways and do
nothing else with it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import urlencode

_READING_METHODS = frozenset({"GET", "HEAD"})
# More digits than any date that a datetime can hold; keeps int() cheap on hostile input.
_MAX_EXPIRES_DIGITS = 12


class LinkCheck(StrEnum):
    """What a link is worth."""

    OK = "ok"
    EXPIRED = "expired"
    "Signed by us, but too old."
    WRONG = "wrong"
    "Not signed by us as it stands."


def sign(key: bytes, path: str, expires_s: int, *, key_id: str) -> str:
    """
    Return the query string that makes `path` readable until `expires_s`.

    Args:
        key: The key for links (`SecretKey.link_key`), not the server key itself.
        path: The URL's path as it will be asked for, e.g. `"/recordings/rec-0f…c3.mp3"`.
        expires_s: Last second of validity, UTC seconds since 1970, not negative.
        key_id: Name of `key` among the keys of `check`.

    Returns:
        `Expires=…&KeyId=…&Signature=…`, with nothing in it that needs escaping but the key id.
    """
    expires = str(expires_s)
    if not _is_expires(expires):
        raise ValueError(f"a link cannot expire at {expires_s}")
    return urlencode(
        {
            "Expires": expires,
            "KeyId": key_id,
            "Signature": _signature(key, path, expires, key_id),
        }
    )


def check(
    key_by_id: Mapping[str, bytes],
    method: str,
    path: str,
    expires: str,
    key_id: str,
    signature: str,
    now_s: float,
) -> LinkCheck:
    """
    Say what a link is worth; any text at all is accepted for the query's three values.

    The signature is compared in constant time, and the date is looked at only after
    it, so that nothing is learnt from a link that we did not sign.

    Args:
        key_by_id: Current and former keys for links.
        method: HTTP method, upper case.
        path: The path that was asked for, as it was signed.
        expires: Value of `Expires`, unescaped.
        key_id: Value of `KeyId`, unescaped.
        signature: Value of `Signature`, unescaped.
        now_s: UTC seconds since 1970.
    """
    key = key_by_id.get(key_id)
    if key is None or method not in _READING_METHODS or not _is_expires(expires):
        return LinkCheck.WRONG
    expected = _signature(key, path, expires, key_id).encode("ascii")
    if not hmac.compare_digest(expected, signature.encode("utf-8", "surrogatepass")):
        return LinkCheck.WRONG
    return LinkCheck.OK if now_s <= int(expires) else LinkCheck.EXPIRED


def _is_expires(text: str) -> bool:
    return len(text) <= _MAX_EXPIRES_DIGITS and text.isascii() and text.isdigit()


def _signature(key: bytes, path: str, expires: str, key_id: str) -> str:
    # The key id's length says where the path begins, so no two links share a text.
    text = f"voiceblocks-link-1\nread\n{expires}\n{len(key_id)}\n{key_id}\n{path}"
    digest = hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
