"""A registrar for tests (RFC 3261 section 10): who has registered where, and for how long."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.address import NameAddr
from voiceblocks.sip.message import SipRequest, SipResponse, build_response
from voiceblocks.sip.uri import SipUri
from voiceblocks.testing.digest_server import DigestServer, Verdict

DEFAULT_EXPIRES_S = 3600
_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Binding:
    """One Contact of one address of record."""

    aor: str
    "URI of To."
    contact: str
    "URI of Contact."
    asked_s: int
    "The expiry that was asked for."
    expires_s: int
    "The one that was granted."
    at_s: float
    "Monotonic second of the REGISTER."

    @property
    def uri(self) -> SipUri:
        """The contact, parsed."""
        return SipUri.parse(self.contact)


class Registrar:
    """
    Answers REGISTER.

    Args:
        digest: Credentials that it wants.
        longest_s: It grants no more, whatever is asked for.
        shortest_s: Less (but not 0) is answered by 423 with Min-Expires.
    """

    def __init__(
        self,
        digest: DigestServer | None = None,
        *,
        longest_s: int = DEFAULT_EXPIRES_S,
        shortest_s: int = 0,
    ) -> None:
        self.digest = digest
        self.longest_s = longest_s
        self.shortest_s = shortest_s
        self.refuses_with: int | None = None
        "A final status for every REGISTER while it is set; 0: it does not answer at all."
        self.bindings: dict[tuple[str, str], Binding] = {}
        "In force, by address of record and contact; what has run out stays until it is removed."
        self.history: list[Binding] = []
        "Every success, oldest first; a removal has `expires_s` 0."
        self.statuses: list[int] = []
        "Of every answer, repetitions left out."
        self._unseen: list[Binding] = []
        self._news = asyncio.Event()
        self._answers: dict[str, SipResponse] = {}

    @property
    def newest(self) -> Binding:
        """The binding that was made or refreshed last."""
        assert self.bindings, "nobody is registered"
        return max(self.bindings.values(), key=lambda binding: binding.at_s)

    async def registered(self, timeout_s: float = 10.0) -> Binding:
        """Return the oldest success, also a refresh or removal, that was not returned before."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self._unseen:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise TimeoutError(
                f"no registration within {timeout_s} s; answered so far: {self.statuses}"
            ) from None
        return self._unseen.pop(0)

    def answer(self, request: SipRequest, now: float) -> SipResponse | None:
        """
        The response to a REGISTER, the same for a repetition; `None`: none.

        Args:
            request: With its top Via stamped.
            now: Monotonic seconds.
        """
        if self.refuses_with == 0:
            return None
        branch = request.top_via.branch or ""
        known = self._answers.get(branch)
        if known is not None:
            return known
        try:
            status, headers = self._judge(request, now)
        except RemoteSipError:
            status, headers = 400, []
        response = build_response(request, status, None, secrets.token_hex(4), headers)
        self.statuses.append(status)
        if len(self._answers) > _REMEMBERED:
            self._answers.clear()
        self._answers[branch] = response
        return response

    def _judge(self, request: SipRequest, now: float) -> tuple[int, list[tuple[str, str]]]:
        if self.refuses_with is not None:
            return self.refuses_with, []
        if self.digest is not None:
            verdict = self.digest.judge(request)
            if verdict is Verdict.WRONG:
                return 403, []
            if verdict is not Verdict.RIGHT:
                challenge = self.digest.challenge(stale=verdict is Verdict.STALE)
                return self.digest.status, [challenge]
        return self._register(request, now)

    def _register(self, request: SipRequest, now: float) -> tuple[int, list[tuple[str, str]]]:
        aor = request.to.uri
        contacts = request.headers.values("Contact")
        if contacts == ["*"]:
            for key in [key for key in self.bindings if key[0] == aor]:
                self._note(Binding(aor, key[1], 0, 0, now))
            contacts = []
        for text in contacts:
            contact = NameAddr.parse(text)
            parameter = contact.parameters.get("expires")
            asked_s = int(parameter) if parameter else request.expires
            if asked_s is None:
                asked_s = DEFAULT_EXPIRES_S
            if 0 < asked_s < self.shortest_s:
                return 423, [("Min-Expires", str(self.shortest_s))]
            self._note(Binding(aor, contact.uri, asked_s, min(asked_s, self.longest_s), now))
        in_force = [binding for binding in self.bindings.values() if binding.aor == aor]
        return 200, [
            ("Contact", f"<{binding.contact}>;expires={binding.expires_s}") for binding in in_force
        ]

    def _note(self, binding: Binding) -> None:
        key = (binding.aor, binding.contact)
        if binding.expires_s:
            self.bindings[key] = binding
        else:
            self.bindings.pop(key, None)
        self.history.append(binding)
        self._unseen.append(binding)
        self._news.set()
