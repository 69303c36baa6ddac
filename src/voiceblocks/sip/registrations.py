"""REGISTER as client (RFC 3261 10): a name of ours at a registrar, kept alive until given up.

Refreshed before it runs out; tried again with growing pauses where the registrar refuses or is
silent, each time at the next of its addresses where there are several. All REGISTERs of one
registration share Call-ID and From tag and count CSeq on (10.2.4), and only one is under way
at a time (10.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from voiceblocks.errors import LocalSipError
from voiceblocks.sip.client_transaction import Failure
from voiceblocks.sip.digest import DigestClient
from voiceblocks.sip.events import RegistrationEnded, RegistrationFailed, RegistrationSucceeded
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.message import SipRequest, SipResponse
from voiceblocks.sip.reasons import REASONS
from voiceblocks.sip.registration_answers import LONGEST_EXPIRES_S, granted_s, seconds
from voiceblocks.sip.timers import Timer
from voiceblocks.sip.user_agent_core import UserAgentCore

MAX_ATTEMPTS = 5
"Requests of one try: a challenge of a proxy and one of the registrar, a stale nonce, a 423."

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0
REFUSED_PAUSE_S = 60.0
"After a refusal of the name or password: a registrar that sees many of those locks us out."
LONGEST_RETRY_AFTER_S = 3600.0

REFRESH_MARGIN_S = 90.0
"A refresh begins so long before the end: time enough for two silent servers. At most half of it."
SHORTEST_REFRESH_S = 5.0
"A registrar that grants a second or two is not asked each second."


@dataclass(slots=True)
class _Registration:
    handle: int
    registrar: str
    address: str
    "Our address of record: From and To."
    contact_user: str
    flows: tuple[Flow, ...]
    wanted_s: int
    call_id: str
    from_tag: str
    digest: DigestClient | None
    sequence: int = 0
    at: int = 0
    "Which of `flows` is used."
    tried: int = 0
    "How many of them failed in a row."
    failures: int = 0
    "How often all of them did."
    attempts: int = 0
    answered: set[int] = field(default_factory=set)
    "Statuses (401, 407) whose challenge was answered in this try."
    under_way: bool = False
    leaving: bool = False
    bound_until: float = 0.0
    "When the registrar forgets us by itself."
    timer: Timer | None = field(default=None, repr=False)

    @property
    def flow(self) -> Flow:
        """Where the next REGISTER goes."""
        return self.flows[self.at % len(self.flows)]

    @property
    def is_well(self) -> bool:
        """Whether the last try succeeded."""
        return self.bound_until > 0 and self.tried == self.failures == 0


class Registrations:
    """The registrations of one user agent."""

    def __init__(self, core: UserAgentCore) -> None:
        self._core = core
        self._by_handle: dict[int, _Registration] = {}

    def __len__(self) -> int:
        return len(self._by_handle)

    # Commands

    def register(
        self,
        *,
        registrar: str,
        address: str,
        flows: Sequence[Flow],
        now: float,
        contact_user: str = "",
        expires_s: int = 3600,
        credentials: tuple[str, str] | None = None,
    ) -> int:
        """
        Register at a registrar, and stay registered until `unregister`.

        `RegistrationSucceeded` or `RegistrationFailed` follow, each as often as it happens.

        Args:
            registrar: Request-URI, such as `"sip:carrier.example"`.
            address: Our address of record, such as `"sip:acme@carrier.example"`.
            flows: Ways to the registrar, best first; at least one.
            now: Monotonic seconds.
            contact_user: User of our Contact, so what calls for us are sent to.
            expires_s: What we ask for.
            credentials: User name and password for challenges.

        Returns:
            The id of its events.

        Raises:
            ContractViolation: A line break in a value.
        """
        registration = _Registration(
            self._core.next_handle(),
            registrar,
            address,
            contact_user or self._core.config.contact_user,
            tuple(flows),
            expires_s,
            self._core.random_text(24),
            self._core.random_text(12),
            self._core.digest_client(credentials),
        )
        self._by_handle[registration.handle] = registration
        try:
            self._begin(registration, now)
        except Exception:
            del self._by_handle[registration.handle]
            raise
        return registration.handle

    def reroute(self, handle: int, flows: Sequence[Flow]) -> None:
        """From the next REGISTER on, the registrar is reached by these flows, best first."""
        registration = self._require(handle)
        used = registration.flow
        registration.flows = tuple(flows)
        # What works is kept; after a failure the best address comes first again.
        works = registration.is_well and used in registration.flows
        registration.at = registration.flows.index(used) if works else 0
        if not works:
            registration.tried = 0

    def unregister(self, handle: int, now: float) -> None:
        """Tell the registrar that we are gone; `RegistrationEnded` follows."""
        registration = self._require(handle)
        if registration.leaving:
            return
        registration.leaving = True
        self._stop_timer(registration)
        if registration.under_way:
            # The removal follows the answer that is still to come.
            return
        self._leave(registration, now)

    def flow_closed(self, flow: Flow, now: float) -> None:
        """A connection is gone: a registrar that called us by it must get a new one."""
        for registration in self._by_handle.values():
            # One that could not be opened has failed its request, and has its pause already.
            if registration.flow == flow and registration.is_well and not registration.under_way:
                self._schedule(registration, now + FIRST_PAUSE_S * self._core.fraction(), now)

    # Requests

    def _begin(self, registration: _Registration, now: float) -> None:
        registration.attempts = 0
        registration.answered.clear()
        self._send(registration, now)

    def _leave(self, registration: _Registration, now: float) -> None:
        if now < registration.bound_until:
            self._begin(registration, now)
        else:
            self._forget(registration)

    def _send(self, registration: _Registration, now: float) -> None:
        flow = registration.flow
        request = self._build(registration, flow)
        if registration.digest is not None:
            request.headers.extend(registration.digest.ahead(request))

        def on_response(response: SipResponse, now: float) -> None:
            if response.status >= 200:
                self._on_final(registration, request, response, now)

        def on_failure(failure: Failure, now: float) -> None:
            registration.under_way = False
            self._fail(registration, failure.value, REASONS[failure.value], None, now)

        registration.attempts += 1
        registration.under_way = True
        self._core.layer.start_client(
            request, flow, now, on_response=on_response, on_failure=on_failure
        )

    def _build(self, registration: _Registration, flow: Flow) -> SipRequest:
        core = self._core
        registration.sequence += 1
        headers = Headers()
        headers.add("Via", core.new_via(flow))
        headers.add("Max-Forwards", "70")
        headers.add("From", f"<{registration.address}>;tag={registration.from_tag}")
        headers.add("To", f"<{registration.address}>")
        headers.add("Call-ID", registration.call_id)
        headers.add("CSeq", f"{registration.sequence} REGISTER")
        headers.add("Contact", core.config.contact(flow, registration.contact_user))
        headers.add("Expires", "0" if registration.leaving else str(registration.wanted_s))
        headers.add("Allow", ", ".join(core.config.allow))
        headers.add("Supported", "path")
        headers.extend(core.user_agent_header())
        return SipRequest("REGISTER", registration.registrar, headers)

    # Answers

    def _on_final(
        self, registration: _Registration, request: SipRequest, response: SipResponse, now: float
    ) -> None:
        registration.under_way = False
        was_removal = request.headers.get("Expires") == "0"
        if registration.leaving and not was_removal:
            # Given up while this was under way.
            if response.status < 300:
                granted = granted_s(request, response, wanted_s=registration.wanted_s)
                registration.bound_until = now + granted
            self._leave(registration, now)
            return
        if response.status < 300:
            self._on_success(registration, request, response, now)
            return
        if registration.attempts < MAX_ATTEMPTS and self._try_differently(
            registration, request, response, now
        ):
            return
        self._fail(registration, response.status, response.reason, response, now)

    def _try_differently(
        self, registration: _Registration, request: SipRequest, response: SipResponse, now: float
    ) -> bool:
        """Answer a challenge, or ask for longer; `False` where there is nothing to be done."""
        if response.status in (401, 407) and registration.digest is not None:
            was_ahead = response.status not in registration.answered
            if registration.digest.learn(request, response, was_ahead=was_ahead) is None:
                return False
            registration.answered.add(response.status)
            self._send(registration, now)
            return True
        if response.status == 423:
            least_s = seconds(response.headers.get("Min-Expires"))
            if least_s is not None and registration.wanted_s < least_s <= LONGEST_EXPIRES_S:
                registration.wanted_s = least_s
                self._send(registration, now)
                return True
        return False

    def _on_success(
        self, registration: _Registration, request: SipRequest, response: SipResponse, now: float
    ) -> None:
        if registration.leaving:
            self._forget(registration)
            return
        expires_s = granted_s(request, response, wanted_s=registration.wanted_s)
        registration.bound_until = now + expires_s
        if expires_s == 0:
            self._fail(registration, response.status, "no binding was made", response, now)
            return
        registration.tried = registration.failures = 0
        refresh_s = max(expires_s / 2, expires_s - REFRESH_MARGIN_S, SHORTEST_REFRESH_S)
        self._schedule(registration, now + refresh_s, now)
        self._core.events.append(RegistrationSucceeded(registration.handle, expires_s))

    def _fail(
        self,
        registration: _Registration,
        status: int,
        reason: str,
        response: SipResponse | None,
        now: float,
    ) -> None:
        if registration.leaving:
            self._forget(registration)
            return
        registration.tried += 1
        is_down = status == 408 or 500 <= status < 600
        if is_down and registration.tried < len(registration.flows):
            registration.at += 1
            self._begin(registration, now)
            return
        registration.at += 1
        registration.tried = 0
        pause_s = self._pause_s(registration, response, refused=not is_down)
        registration.failures += 1
        self._schedule(registration, now + pause_s, now)
        self._core.events.append(
            RegistrationFailed(registration.handle, status, reason, retry_in_s=pause_s)
        )

    def _pause_s(
        self, registration: _Registration, response: SipResponse | None, *, refused: bool
    ) -> float:
        first_s = REFUSED_PAUSE_S if refused else FIRST_PAUSE_S
        full_s = min(LONGEST_PAUSE_S, first_s * (1 << min(registration.failures, 16)))
        # Many nodes whose registrar comes back must not all ask it in the same second.
        pause_s = full_s * (0.5 + self._core.fraction() / 2)
        asked = None if response is None else response.headers.get("Retry-After")
        # `120 (I am in a meeting);duration=600`, RFC 3261 20.33.
        text = None if asked is None else asked.partition(";")[0].partition("(")[0]
        return max(pause_s, min(LONGEST_RETRY_AFTER_S, float(seconds(text) or 0)))

    # Housekeeping

    def _schedule(self, registration: _Registration, at: float, now: float) -> None:
        self._stop_timer(registration)

        def fire(now: float) -> None:
            registration.timer = None
            self._begin(registration, now)

        registration.timer = self._core.timers.schedule(max(at, now), fire)

    def _stop_timer(self, registration: _Registration) -> None:
        if registration.timer is not None:
            registration.timer.cancel()
            registration.timer = None

    def _forget(self, registration: _Registration) -> None:
        self._stop_timer(registration)
        del self._by_handle[registration.handle]
        self._core.events.append(RegistrationEnded(registration.handle))

    def _require(self, handle: int) -> _Registration:
        registration = self._by_handle.get(handle)
        if registration is None:
            raise LocalSipError(f"there is no registration {handle}")
        return registration
