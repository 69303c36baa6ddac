"""Digest authentication of our requests (RFC 3261 22, RFC 7616, RFC 8760).

Only the client side: we answer challenges, and make none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.grammar import split_outside_quotes, unquote
from voiceblocks.sip.message import SipRequest, SipResponse

_MAX_FIELDS = 64

_HASHES: dict[str, tuple[int, Callable[[bytes], str]]] = {
    "SHA-256": (3, lambda data: hashlib.sha256(data).hexdigest()),
    "SHA-512-256": (2, lambda data: hashlib.new("sha512_256", data).hexdigest()),
    # MD5 is what nearly every carrier still asks for; it protects nothing but the password.
    "MD5": (1, lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest()),
}
"Algorithm to preference (more is better) and function."


@dataclass(frozen=True, slots=True)
class Challenge:
    """One WWW-Authenticate or Proxy-Authenticate."""

    realm: str
    nonce: str
    algorithm: str
    'As sent, such as `"MD5"` or `"SHA-256-sess"`.'
    opaque: str | None
    qop: str | None
    '`"auth"`, `"auth-int"` or `None` (RFC 2069).'
    stale: bool

    @classmethod
    def parse(cls, value: str) -> Challenge:
        """
        Read a challenge; commas inside quotes do not separate.

        Raises:
            RemoteSipError: If it is no digest challenge, or one that we cannot answer.
        """
        scheme, _, rest = value.strip().partition(" ")
        if scheme.lower() != "digest":
            raise RemoteSipError("a challenge that is not Digest")
        fields: dict[str, str] = {}
        for part in split_outside_quotes(rest, ",")[:_MAX_FIELDS]:
            name, equals, text = part.strip().partition("=")
            if equals:
                fields.setdefault(name.strip().lower(), unquote(text.strip()))
        if "realm" not in fields or "nonce" not in fields:
            raise RemoteSipError("a challenge without realm or nonce")
        algorithm = fields.get("algorithm", "MD5")
        if _hash_name(algorithm) not in _HASHES:
            raise RemoteSipError("a digest algorithm that we lack")
        qop: str | None = None
        if "qop" in fields:
            offered = [word.strip().lower() for word in fields["qop"].split(",")]
            qop = next((word for word in ("auth", "auth-int") if word in offered), None)
            if qop is None:
                raise RemoteSipError("a quality of protection that we lack")
        return cls(
            realm=fields["realm"],
            nonce=fields["nonce"],
            algorithm=algorithm,
            opaque=fields.get("opaque"),
            qop=qop,
            stale=fields.get("stale", "").lower() == "true",
        )

    @property
    def preference(self) -> int:
        """More is stronger."""
        return _HASHES[_hash_name(self.algorithm)][0]

    def authorization(
        self,
        *,
        username: str,
        password: str,
        method: str,
        uri: str,
        body: bytes,
        cnonce: str,
        nonce_count: int = 1,
    ) -> str:
        """
        Value of Authorization or Proxy-Authorization (RFC 7616 section 3.4).

        Args:
            username: As the peer knows us.
            password: In clear.
            method: Of the request that is repeated.
            uri: Its Request-URI.
            body: Its body, for auth-int.
            cnonce: Unguessable text of ours.
            nonce_count: How often this nonce was used, from 1.
        """
        digest = _HASHES[_hash_name(self.algorithm)][1]

        def hashed(*parts: str | bytes) -> str:
            return digest(b":".join(_encode(part) for part in parts))

        secret = hashed(username, self.realm, password)
        if self.algorithm.lower().endswith("-sess"):
            secret = hashed(secret, self.nonce, cnonce)
        what = hashed(method, uri)
        if self.qop == "auth-int":
            what = hashed(method, uri, digest(body))
        count = f"{nonce_count:08x}"
        fields = [
            f"username={_quoted(username)}",
            f"realm={_quoted(self.realm)}",
            f"nonce={_quoted(self.nonce)}",
            f"uri={_quoted(uri)}",
        ]
        if self.qop is None:
            response = hashed(secret, self.nonce, what)
        else:
            response = hashed(secret, self.nonce, count, cnonce, self.qop, what)
        fields += [f'response="{response}"', f"algorithm={self.algorithm}"]
        if self.opaque is not None:
            fields.append(f"opaque={_quoted(self.opaque)}")
        if self.qop is not None:
            fields += [f"qop={self.qop}", f"nc={count}", f"cnonce={_quoted(cnonce)}"]
        elif self.algorithm.lower().endswith("-sess"):
            fields.append(f"cnonce={_quoted(cnonce)}")
        return "Digest " + ", ".join(fields)


_MAX_NONCES = 32
"Nonces of one peer whose uses are counted; a forgotten one is only counted from 1 again."


class DigestClient:
    """
    Answers the challenges of one peer, for as long as there is something to say to it.

    Counts how often each nonce was used: a server that challenges a further request with the
    same nonce takes a count that does not grow for a replay (RFC 7616 3.4).

    Args:
        username: As the peer knows us.
        password: In clear.
        random_text: Gives so many unguessable token characters.
    """

    def __init__(self, username: str, password: str, random_text: Callable[[int], str]) -> None:
        self._username = username
        self._password = password
        self._random_text = random_text
        self._uses: dict[tuple[str, str], int] = {}
        self._known: dict[str, Challenge] = {}

    def learn(
        self, request: SipRequest, response: SipResponse, *, was_ahead: bool = False
    ) -> str | None:
        """
        Take a challenge, so that `ahead` answers it.

        Args:
            request: What was challenged.
            response: The 401 or 407.
            was_ahead: Whether the request answered only challenges of former requests: then
                its refusal may mean no more than that those are used up.

        Returns:
            The name of the header that answers it; `None` if we cannot answer it, or the same
            password was refused.
        """
        asked, answered = (
            ("WWW-Authenticate", "Authorization")
            if response.status == 401
            else ("Proxy-Authenticate", "Proxy-Authorization")
        )
        challenge = strongest_challenge(response.headers.get_all(asked))
        if challenge is None:
            return None
        if answered in request.headers and not challenge.stale and not was_ahead:
            return None
        self._known[answered] = challenge
        return answered

    def ahead(self, request: SipRequest) -> list[tuple[str, str]]:
        """Headers that answer all challenges so far; for a further request, unasked."""
        return [
            (name, self._authorization(challenge, request))
            for name, challenge in self._known.items()
        ]

    def _authorization(self, challenge: Challenge, request: SipRequest) -> str:
        nonce = (challenge.realm, challenge.nonce)
        # Newest last, so that the oldest is forgotten first.
        count = self._uses.pop(nonce, 0) + 1
        self._uses[nonce] = count
        if len(self._uses) > _MAX_NONCES:
            del self._uses[next(iter(self._uses))]
        return challenge.authorization(
            username=self._username,
            password=self._password,
            method=request.method,
            uri=request.uri,
            body=request.body,
            cnonce=self._random_text(16),
            nonce_count=count,
        )


def strongest_challenge(values: Iterable[str]) -> Challenge | None:
    """The best challenge that we can answer, or `None`."""
    best: Challenge | None = None
    for value in values:
        try:
            challenge = Challenge.parse(value)
        except RemoteSipError:
            continue
        if best is None or challenge.preference > best.preference:
            best = challenge
    return best


def _hash_name(algorithm: str) -> str:
    return algorithm.upper().removesuffix("-SESS")


def _encode(part: str | bytes) -> bytes:
    return part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
