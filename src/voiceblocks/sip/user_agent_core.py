"""What the parts of the user agent share: legs, dialogs, events, and sending inside a dialog.

user_agent           commands and the sans-I/O contract
  incoming_calls     INVITE from a peer: ring, answer, refuse, CANCEL, ACK
  outgoing_calls     our INVITE: progress, forks, digest, CANCEL
  former_dialogs     what an earlier process left: BYE, and ACK of a late 200
  former_invites     its INVITEs without final answer: CANCEL, 503
  registrations      our REGISTER, kept alive
  dialog_requests    the peer's requests inside a dialog
  renegotiation      offers inside a dialog, both ways
  session_keeper     refreshing the session, and noticing that nobody does
user_agent_core      this module
transaction_layer    transactions
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from voiceblocks.errors import LocalSipError, RemoteSipError
from voiceblocks.sip.client_transaction import ClientTransaction, Failure
from voiceblocks.sip.dialog import Dialog, DialogId
from voiceblocks.sip.digest import DigestClient
from voiceblocks.sip.events import EndCause, Event, LegEnded
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.invite_usage import Leg, LegEvent, LegState
from voiceblocks.sip.message import SipRequest, SipResponse
from voiceblocks.sip.routing import request_flow
from voiceblocks.sip.timers import TIMEOUT_S, TimerQueue
from voiceblocks.sip.transaction_layer import TransactionLayer, TransactionUser
from voiceblocks.sip.user_agent_config import UserAgentConfig
from voiceblocks.sip.via import BRANCH_COOKIE

MAX_AUTH_ATTEMPTS = 3
"401 and 407 may both be asked for, and one nonce may have gone stale."

DIALOG_IS_GONE = frozenset({408, 481})
"Answers to a request inside a dialog that mean the dialog's end (RFC 3261 12.2.1.2)."


class OnFinal(Protocol):
    """Takes the outcome of a request; `response` is `None` for silence or a lost connection."""

    def __call__(self, status: int, response: SipResponse | None, now: float) -> None:
        """Take it; for a re-INVITE once for each 2xx."""
        ...


class UserAgentCore:
    """
    The state of one user agent.

    Args:
        user: Takes what the transaction layer hands up.
        random_text: Gives so many unguessable token characters.
    """

    def __init__(
        self,
        config: UserAgentConfig,
        random_text: Callable[[int], str],
        user: TransactionUser,
    ) -> None:
        self.config = config
        self.random_text = random_text
        self.timers = TimerQueue()
        self.events: deque[Event] = deque()
        self.legs: dict[int, Leg] = {}
        self.dialogs: dict[DialogId, Leg] = {}
        self._last_handle = 0
        self.layer = TransactionLayer(
            user,
            self.timers,
            random_text,
            response_routing=config.response_routing,
            max_per_source=config.max_transactions_per_source,
            server_headers=(("Server", config.user_agent),) if config.user_agent else (),
        )

    # Identity and randomness

    def next_handle(self) -> int:
        """A number never used before for a leg or an OPTIONS."""
        self._last_handle += 1
        return self._last_handle

    def new_via(self, flow: Flow) -> str:
        """A Via value with a branch of its own."""
        return self.config.via(flow, BRANCH_COOKIE + self.random_text(16))

    def fraction(self) -> float:
        """A random number in [0, 1)."""
        text = self.random_text(8)
        return int.from_bytes(text.encode(), "big") % 9973 / 9973

    # Legs

    def add_leg(self, state: LegState, flow: Flow, invite: SipRequest) -> Leg:
        """Begin a leg."""
        leg = Leg(self.next_handle(), state, flow, invite)
        self.legs[leg.handle] = leg
        return leg

    def leg(self, handle: int) -> Leg:
        """
        The leg with this handle.

        Raises:
            LocalSipError: If it has ended or never was.
        """
        leg = self.legs.get(handle)
        if leg is None:
            raise LocalSipError(f"there is no leg {handle}")
        return leg

    def leg_of(self, message: SipRequest) -> Leg | None:
        """The leg in whose dialog the peer sent this request."""
        return self.dialogs.get((message.call_id, message.to_tag or "", message.from_tag or ""))

    def use_dialog(self, leg: Leg, dialog: Dialog) -> None:
        """Make `dialog` the leg's own."""
        leg.dialog = dialog
        self.dialogs[dialog.id] = leg

    def end(self, leg: Leg, event: LegEvent, now: float, last: Event | None) -> bool:
        """
        Step a leg to its end, drop its state, and tell `last`.

        Returns:
            `False` if it had ended already.
        """
        if not leg.advance(event):
            return False
        self.drop(leg, now, last)
        return True

    def drop(self, leg: Leg, now: float, last: Event | None) -> None:
        """Forget a leg that has reached its end."""
        leg.state = LegState.ENDED
        leg.stop_timers()
        if leg.peer_offer is not None and not leg.peer_offer.is_answered:
            self.layer.respond(leg.peer_offer, 487, now)
        leg.peer_offer = None
        if leg.client is not None and leg.client.is_waiting:
            # A final response may still come and wants its ACK, but not for ever.
            self.timers.schedule(now + TIMEOUT_S, leg.client.give_up)
        self.legs.pop(leg.handle, None)
        for dialog in (leg.dialog, *leg.early.values()):
            if dialog is not None and self.dialogs.get(dialog.id) is leg:
                del self.dialogs[dialog.id]
        if last is not None:
            self.events.append(last)

    def lose(self, leg: Leg, cause: EndCause, now: float, *, bye: bool) -> None:
        """End a leg for a reason that is not its owner's."""
        dialog = leg.dialog
        if self.end(leg, LegEvent.LOST, now, LegEnded(leg.handle, cause)) and bye and dialog:
            self.send_bye(leg, dialog, now)

    # Requests inside a dialog

    def dialog_headers(self, flow: Flow) -> tuple[tuple[str, str], ...]:
        """What every message that makes or changes a dialog says about us."""
        config = self.config
        return (
            ("Contact", config.contact(flow)),
            ("Allow", ", ".join(config.allow)),
            ("Supported", ", ".join(config.supported)),
        )

    def flow_for(self, leg: Leg, dialog: Dialog) -> Flow:
        """Where requests of this dialog go."""
        return request_flow(
            dialog.next_hop,
            leg.flow,
            self.config.request_routing,
            behind_nat=dialog.behind_nat,
            may_connect=self.config.opens_connections,
        )

    def send_in_dialog(
        self,
        leg: Leg,
        dialog: Dialog,
        method: str,
        now: float,
        *,
        on_final: OnFinal,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        """
        Send a request and report how it ended; challenges are answered on the way.

        A re-INVITE reports each of its 2xx, repeated ones too.
        """
        answered: set[int] = set()

        def send(attempts: int, at: float) -> None:
            flow = self.flow_for(leg, dialog)
            request = dialog.build_request(method, self.new_via(flow), body=body)
            request.headers.extend((*self.user_agent_header(), *headers))
            if leg.digest is not None:
                # A peer that challenged the INVITE will challenge this, too (22.3).
                request.headers.extend(leg.digest.ahead(request))

            def on_response(response: SipResponse, now: float) -> None:
                status = response.status
                if status < 200:
                    return
                if status in (401, 407) and leg.digest and attempts < MAX_AUTH_ATTEMPTS:
                    was_ahead = status not in answered
                    if leg.digest.learn(request, response, was_ahead=was_ahead) is not None:
                        answered.add(status)
                        send(attempts + 1, now)
                        return
                on_final(status, response, now)

            def on_failure(failure: Failure, now: float) -> None:
                on_final(failure.value, None, now)

            transaction = self.layer.start_client(
                request, flow, at, on_response=on_response, on_failure=on_failure
            )
            if method == "INVITE":
                leg.client = transaction

        send(1, now)

    def send_ack(
        self,
        leg: Leg,
        dialog: Dialog,
        invite: SipRequest,
        number: int,
        body: bytes | None = None,
    ) -> None:
        """Send the ACK for a 2xx, and keep it for repeats of that 2xx (13.2.2.4)."""
        flow = self.flow_for(leg, dialog)
        ack = dialog.build_request("ACK", self.new_via(flow), sequence=number, body=body or b"")
        for name in ("Authorization", "Proxy-Authorization"):
            for value in invite.headers.get_all(name):
                ack.headers.add(name, value)
        ack.headers.extend(self.user_agent_header())
        if body:
            ack.headers.add("Content-Type", "application/sdp")
        data = ack.serialize()
        leg.acks[(dialog.remote_tag, number)] = (data, flow)
        self.layer.send(data, flow)

    def repeat_ack(self, leg: Leg, response: SipResponse) -> bool:
        """Acknowledge a repeated 2xx as before; `False` if this one is new."""
        kept = leg.acks.get((response.to_tag or "", response.cseq.number))
        if kept is None:
            return False
        self.layer.send(*kept)
        return True

    def send_bye(
        self, leg: Leg, dialog: Dialog, now: float, *, on_final: OnFinal | None = None
    ) -> None:
        """Send a BYE. Whatever comes back, the dialog is over (15.1.1)."""
        self.send_in_dialog(leg, dialog, "BYE", now, on_final=on_final or _ignore)

    def end_with_bye(self, leg: Leg, now: float, last: Event | None = None) -> None:
        """Send the BYE of a leg that is ENDING; it has ended when the BYE is answered."""
        leg.stop_timers()
        leg.hang_up_after_ack = False
        event = last or LegEnded(leg.handle, EndCause.HUNG_UP)

        def on_final(status: int, response: SipResponse | None, now: float) -> None:
            self.end(leg, LegEvent.LOST, now, event)

        self.send_bye(leg, leg.require_dialog(), now, on_final=on_final)

    def user_agent_header(self) -> tuple[tuple[str, str], ...]:
        """Our name, for requests."""
        return (("User-Agent", self.config.user_agent),) if self.config.user_agent else ()

    def digest_client(self, credentials: tuple[str, str] | None) -> DigestClient | None:
        """What answers challenges with these credentials, if there are any."""
        return None if credentials is None else DigestClient(*credentials, self.random_text)


def _ignore(status: int, response: SipResponse | None, now: float) -> None:
    """Nothing depends on the outcome."""


def readable_or_none(read: Callable[[], bytes | None]) -> bytes | None:
    """A body where there is no way to refuse it: what cannot be read counts as absent."""
    try:
        return read()
    except RemoteSipError:
        return None


__all__ = ["ClientTransaction", "OnFinal", "UserAgentCore"]
