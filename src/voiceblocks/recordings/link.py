"""Signed links to recordings (decision 7).

The signature covers the path and every value of the query. GET and HEAD share one, every
other method has none: who was given a link may look at it in both ways and do
nothing else with it.

A link of a recording whose links were revoked before carries how often that was
(`Revision`); one that is good once carries its own name (`Once`). Whether the revision is
the present one, and the name unused, only the database knows (decision 45).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import urlencode

_READING_METHODS = frozenset({"GET", "HEAD"})
# More digits than any date that a datetime can hold; keeps int() cheap on hostile input.
_MAX_EXPIRES_DIGITS = 12
_REVISION = re.compile(r"(?:[1-9][0-9]{0,8})?\Z", re.ASCII)
_ONCE = re.compile(r"[a-z0-9]{0,32}\Z", re.ASCII)


class LinkCheck(StrEnum):
    """What a link is worth."""

    OK = "ok"
    EXPIRED = "expired"
    "Signed by us, but too old."
    WRONG = "wrong"
    "Not signed by us as it stands."


def sign(
    key: bytes, path: str, expires_s: int, *, key_id: str, revision: int = 0, once: str = ""
) -> str:
    """
    Return the query string that makes `path` readable until `expires_s`.

    Args:
        key: The key for links (`SecretKey.link_key`), not the server key itself.
        path: The URL's path as it will be asked for, e.g. `"/recordings/rec-0f…c3.mp3"`.
        expires_s: Last second of validity, UTC seconds since 1970, not negative.
        key_id: Name of `key` among the keys of `check`.
        revision: How often the recording's links were revoked before.
        once: Its own name (`ids.new_link_id`), for a link that is good once.

    Returns:
        `Expires=…&KeyId=…&Signature=…`, with nothing in it that needs escaping but the key id;
        `Revision` and `Once` only where they say something.
    """
    expires = str(expires_s)
    if not _is_expires(expires):
        raise ValueError(f"a link cannot expire at {expires_s}")
    special = {"Revision": str(revision) if revision else "", "Once": once}
    signature = _signature(key, path, expires, key_id, special["Revision"], once)
    return urlencode(
        {
            "Expires": expires,
            "KeyId": key_id,
            **{name: value for name, value in special.items() if value},
            "Signature": signature,
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
    *,
    revision: str = "",
    once: str = "",
) -> LinkCheck:
    """
    Say what a link is worth; any text at all is accepted for the query's values.

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
        revision: Value of `Revision`, empty where there is none.
        once: Value of `Once`, empty where there is none.
    """
    key = key_by_id.get(key_id)
    if key is None or method not in _READING_METHODS or not _is_expires(expires):
        return LinkCheck.WRONG
    if _REVISION.match(revision) is None or _ONCE.match(once) is None:
        return LinkCheck.WRONG
    expected = _signature(key, path, expires, key_id, revision, once).encode("ascii")
    if not hmac.compare_digest(expected, signature.encode("utf-8", "surrogatepass")):
        return LinkCheck.WRONG
    return LinkCheck.OK if now_s <= int(expires) else LinkCheck.EXPIRED


def _is_expires(text: str) -> bool:
    return len(text) <= _MAX_EXPIRES_DIGITS and text.isascii() and text.isdigit()


def _signature(key: bytes, path: str, expires: str, key_id: str, revision: str, once: str) -> str:
    # The key id's length says where the path begins, so no two links share a text.
    form = f"2\n{revision}\n{once}" if revision or once else "1"
    text = f"voiceblocks-link-{form}\nread\n{expires}\n{len(key_id)}\n{key_id}\n{path}"
    digest = hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
