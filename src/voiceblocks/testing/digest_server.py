"""The side of digest authentication that asks: what a carrier does with our requests.

Written without `voiceblocks.sip.digest`, so that a mistake there is not made here a second time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from enum import StrEnum

from voiceblocks.sip.message import SipRequest

_FIELD = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')

_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}


class Verdict(StrEnum):
    """What a request's credentials are worth."""

    RIGHT = "right"
    MISSING = "missing"
    "Nothing was sent."
    STALE = "stale"
    "Right, but for a nonce that is used up or unknown."
    WRONG = "wrong"
    "Another user, another password, another request, or a nonce count that was seen before."


class DigestServer:
    """
    Challenges and checks (RFC 7616, RFC 3261 section 22).

    Args:
        username: Who may.
        password: In clear.
        realm: What the challenge names.
        algorithm: `"MD5"`, `"SHA-256"` or `"SHA-512-256"`.
        qop: `"auth"`, or empty for the old way without it (RFC 2069).
        proxy: 407 with Proxy-Authenticate instead of 401 with WWW-Authenticate.
        uses_per_nonce: After so many requests a nonce is stale.
    """

    def __init__(
        self,
        username: str,
        password: str,
        *,
        realm: str = "carrier.example",
        algorithm: str = "MD5",
        qop: str = "auth",
        proxy: bool = False,
        uses_per_nonce: int = 1_000,
    ) -> None:
        self.username = username
        self.password = password
        self._realm = realm
        self._algorithm = algorithm
        self._qop = qop
        self._proxy = proxy
        self._uses_per_nonce = uses_per_nonce
        self._seen: dict[str, list[int]] = {}
        self.verdicts: list[Verdict] = []
        "Of every request that was judged, oldest first."

    @property
    def status(self) -> int:
        """Of the challenge: 401 or 407."""
        return 407 if self._proxy else 401

    def challenge(self, *, stale: bool = False) -> tuple[str, str]:
        """A header line with a fresh nonce."""
        nonce = secrets.token_hex(12)
        self._seen[nonce] = []
        value = f'Digest realm="{self._realm}", nonce="{nonce}", algorithm={self._algorithm}'
        if self._qop:
            value += f', qop="{self._qop}"'
        if stale:
            value += ", stale=true"
        return ("Proxy-Authenticate" if self._proxy else "WWW-Authenticate"), value

    def judge(self, request: SipRequest) -> Verdict:
        """Check a request's credentials, and count the use of its nonce."""
        verdict = self._judge(request)
        self.verdicts.append(verdict)
        return verdict

    def _judge(self, request: SipRequest) -> Verdict:
        name = "Proxy-Authorization" if self._proxy else "Authorization"
        value = next(
            (text for text in request.headers.get_all(name) if self._realm in text),
            None,
        )
        if value is None or not value.lower().startswith("digest "):
            return Verdict.MISSING
        fields = {
            found[1].lower(): found[2] if found[3] is None else found[3]
            for found in _FIELD.finditer(value[len("digest ") :])
        }
        nonce = fields.get("nonce", "")
        if fields.get("username") != self.username or fields.get("uri") != request.uri:
            return Verdict.WRONG
        expected = self._response(request.method, fields)
        if not hmac.compare_digest(expected, fields.get("response", "")):
            return Verdict.WRONG
        seen = self._seen.get(nonce)
        if seen is None or len(seen) >= self._uses_per_nonce:
            return Verdict.STALE
        count = int(fields.get("nc", f"{len(seen) + 1:x}"), 16)
        if self._qop and count in seen:
            return Verdict.WRONG
        seen.append(count)
        return Verdict.RIGHT

    def _response(self, method: str, fields: dict[str, str]) -> str:
        def hashed(text: str) -> str:
            return hashlib.new(
                _HASHES[self._algorithm], text.encode(), usedforsecurity=False
            ).hexdigest()

        secret = hashed(f"{self.username}:{self._realm}:{self.password}")
        what = hashed(f"{method}:{fields.get('uri', '')}")
        nonce = fields.get("nonce", "")
        if not self._qop:
            return hashed(f"{secret}:{nonce}:{what}")
        middle = f"{fields.get('nc', '')}:{fields.get('cnonce', '')}:{fields.get('qop', '')}"
        return hashed(f"{secret}:{nonce}:{middle}:{what}")
