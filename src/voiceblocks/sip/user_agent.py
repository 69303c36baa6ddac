"""A SIP user agent without I/O: both sides of a call (RFC 3261 and friends).

The contract of all our protocol cores: the shell feeds messages and the time in, and after
each call sends `messages_to_send`, takes every `next_event`, and arms one timer for
`next_deadline`. Not here: sockets, names (DNS), SDP contents, media.

    agent.receive_message(data, flow, now)
    while (event := agent.next_event()) is not None: ...
    for data, flow in agent.messages_to_send(): ...
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from voiceblocks.errors import LocalSipError
from voiceblocks.sip.dialog_requests import DialogRequests
from voiceblocks.sip.events import EndCause, Event, OptionsAnswered, ProbeAnswered
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.former_dialogs import FormerDialogs
from voiceblocks.sip.incoming_calls import IncomingCalls
from voiceblocks.sip.invite_usage import Leg, LegEvent, LegState
from voiceblocks.sip.message import SipRequest, SipResponse
from voiceblocks.sip.outgoing_calls import OutgoingCalls
from voiceblocks.sip.registrations import Registrations
from voiceblocks.sip.renegotiation import Renegotiation
from voiceblocks.sip.routing import Routing, tcp_flow_to
from voiceblocks.sip.server_transaction import ServerTransaction
from voiceblocks.sip.source_guard import SourceGuard
from voiceblocks.sip.unanswered_invite import UNANSWERED, write_unanswered
from voiceblocks.sip.user_agent_config import UserAgentConfig
from voiceblocks.sip.user_agent_core import DIALOG_IS_GONE, UserAgentCore

__all__ = ["Routing", "UserAgent", "UserAgentConfig"]


class UserAgent:
    """
    Any number of legs, calling and called, over any number of flows.

    Commands name a leg by the handle of its first event or of `call`. They raise
    `LocalSipError` when the leg has ended or its state does not allow them, and change
    nothing then.

    Args:
        config: What we say about ourselves.
        random_text: Gives so many unguessable token characters; branches, tags and Call-IDs
            are made of it.
        guard: If given, requests from other sources than it knows get no answer at all, unless
            they belong to a dialog of ours, and new calls are held to its rate.
    """

    def __init__(
        self,
        config: UserAgentConfig,
        random_text: Callable[[int], str],
        guard: SourceGuard | None = None,
    ) -> None:
        self._guard = guard
        self._core = UserAgentCore(config, random_text, self)
        self._renegotiation = Renegotiation(self._core)
        self._incoming = IncomingCalls(self._core, self._renegotiation)
        self._outgoing = OutgoingCalls(self._core, self._renegotiation)
        self.registrations = Registrations(self._core)
        "Commands for registrations."
        self.former = FormerDialogs(self._core)
        "Commands for dialogs of an earlier process."
        self._requests = DialogRequests(self._core, self._incoming, self._renegotiation)

    # The sans-I/O contract

    def receive_message(self, data: bytes, flow: Flow, now: float) -> None:
        """
        Take one UDP datagram or one framed TCP message.

        Args:
            data: As received; never raises for anything in it.
            flow: Where it came from.
            now: Monotonic seconds; must not decrease between calls.
        """
        self._core.layer.receive_message(data, flow, now)

    def flow_closed(self, flow: Flow, now: float) -> None:
        """
        A connection was lost, or (`connection` 0) could not be opened.

        Confirmed legs move to a connection that is still to be opened, where the peer gave an
        address; the others end.
        """
        lost: list[Leg] = []
        for leg in self._core.legs.values():
            if leg.state is LegState.INCOMING and leg.server is not None:
                if leg.server.flow == flow:
                    lost.append(leg)
            elif leg.flow == flow and leg.dialog is not None:
                moved = tcp_flow_to(leg.dialog.next_hop, flow) if flow.connection else None
                if moved is None:
                    lost.append(leg)
                else:
                    leg.flow = moved
        self._core.layer.flow_closed(flow, now)
        for leg in lost:
            self._core.lose(leg, EndCause.TRANSPORT_LOST, now, bye=False)
        self._renegotiation.forget_lost_offers(now)
        self.registrations.flow_closed(flow, now)

    def messages_to_send(self) -> list[tuple[bytes, Flow]]:
        """Take what is to be sent, in order."""
        return self._core.layer.messages_to_send()

    def next_event(self) -> Event | None:
        """Take the oldest event, or `None`."""
        events = self._core.events
        return events.popleft() if events else None

    def next_deadline(self) -> float | None:
        """When `handle_deadline` wants to be called: monotonic seconds, `None` for never."""
        return self._core.timers.next_deadline()

    def handle_deadline(self, now: float) -> None:
        """Do what is due."""
        self._core.timers.run_due(now)

    @property
    def is_settled(self) -> bool:
        """Whether no leg is left, and no request of ours waits for its final response."""
        return not self._core.legs and not self._core.layer.awaits_responses

    @property
    def leg_count(self) -> int:
        """Legs that have not ended."""
        return len(self._core.legs)

    @property
    def transaction_count(self) -> int:
        """Transactions that are remembered; some outlive their leg by 64*T1."""
        return len(self._core.layer)

    # Commands for calls that come in

    def ring(self, leg: int, now: float, *, sdp: bytes | None = None) -> None:
        """
        Send 180, or 183 when there is early media, and repeat it each minute.

        Reliable (RFC 3262) only when the peer requires it.
        """
        self._incoming.ring(self._core.leg(leg), sdp, now)

    def answer(self, leg: int, sdp: bytes, now: float) -> bool:
        """
        Accept the call; `sdp` is the answer, or our offer if the INVITE had none.

        Returns:
            Whether the 200 has left; else it waits for a PRACK, and `AnswerSent` follows.
        """
        return self._incoming.answer(self._core.leg(leg), sdp, now)

    def refuse(
        self,
        leg: int,
        status: int,
        now: float,
        *,
        reason: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Refuse the call with 300..699; no event follows."""
        self._incoming.refuse(self._core.leg(leg), status, now, reason, headers)

    # Commands for our calls

    def call(
        self,
        *,
        target: str,
        from_: str,
        to: str,
        flow: Flow,
        sdp: bytes | None,
        now: float,
        headers: Sequence[tuple[str, str]] = (),
        credentials: tuple[str, str] | None = None,
    ) -> int:
        """
        Send an INVITE.

        Args:
            target: Request-URI.
            from_: URI or address with name, without tag.
            to: Likewise.
            flow: Where to send it; the shell has resolved the target or chosen a proxy.
            sdp: Our offer; `None` lets the peer make one, see `Answered`.
            now: Monotonic seconds.
            headers: More header lines, such as P-Asserted-Identity.
            credentials: User name and password for challenges.

        Returns:
            The handle of the leg.

        Raises:
            ContractViolation: A line break in a value.
        """
        return self._outgoing.call(
            target=target,
            from_=from_,
            to=to,
            flow=flow,
            sdp=sdp,
            now=now,
            headers=headers,
            credentials=credentials,
        )

    def call_id(self, leg: int) -> str:
        """Call-ID of a leg's dialogs."""
        return self._core.leg(leg).invite.call_id

    def was_heard(self, leg: int) -> bool:
        """Whether the peer has shown life: sent any response to the present INVITE of ours."""
        return self._core.leg(leg).state is not LegState.CALLING

    def options(self, target: str, flow: Flow, now: float) -> int:
        """Ask a peer whether it is there; `OptionsAnswered` with the returned id follows."""
        number = self._core.next_handle()

        def on_final(status: int, response: SipResponse | None, now: float) -> None:
            self._core.events.append(OptionsAnswered(number, status))

        self._outgoing.send_options(target, flow, now, on_final)
        return number

    # Commands for both

    def hang_up(self, leg: int, now: float) -> None:
        """
        End the leg by what its state asks for; the last event follows.

        BYE when answered (after the ACK, RFC 3261 15), CANCEL when ours and unanswered, 603
        when theirs and unanswered. Asking twice is fine.
        """
        subject = self._core.leg(leg)
        match subject.state:
            case LegState.INCOMING:
                self._incoming.decline(subject, now)
            case LegState.CALLING | LegState.PROCEEDING | LegState.CANCELLING:
                self._outgoing.cancel(subject, now)
            case LegState.ANSWERED:
                subject.advance(LegEvent.HANG_UP)
                subject.hang_up_after_ack = True
            case LegState.CONFIRMED:
                self._outgoing.acknowledge(subject, None, now)
                subject.advance(LegEvent.HANG_UP)
                self._core.end_with_bye(subject, now)
            case _:
                subject.advance(LegEvent.HANG_UP)

    def answer_offer(self, leg: int, sdp: bytes | None, now: float, *, status: int = 488) -> None:
        """
        Reply to `OfferReceived`, or with our answer to an `Answered` that held an offer.

        Args:
            leg: The leg.
            sdp: Our answer (or offer, where theirs was `None`); `None` refuses.
            now: Monotonic seconds.
            status: Of the refusal.
        """
        subject = self._core.leg(leg)
        if subject.answer_owed is None:
            self._renegotiation.answer_offer(subject, sdp, now, status)
            return
        self._outgoing.acknowledge(subject, sdp, now)
        if sdp is None:
            # A 2xx cannot be refused: ACK, then BYE (13.2.2.4).
            self.hang_up(leg, now)

    def reoffer(self, leg: int, sdp: bytes, now: float) -> None:
        """
        Send a re-INVITE, as soon as no other exchange is open; only the newest waits.

        `OfferAnswered` or `OfferRefused` follows. Crossing offers (491) are tried again.
        """
        self._renegotiation.reoffer(self._core.leg(leg), sdp, now)

    def probe(self, leg: int, now: float) -> None:
        """
        Ask inside the dialog whether the peer still knows it; `ProbeAnswered` follows.

        481, 408 and silence end the leg (decision 11); any other answer shows life.
        """
        subject = self._confirmed(leg)

        def on_final(status: int, response: SipResponse | None, now: float) -> None:
            if subject.is_ended:
                return
            alive = response is not None and status not in DIALOG_IS_GONE
            self._core.events.append(ProbeAnswered(leg, alive))
            if not alive:
                self._core.lose(subject, EndCause.PEER_GONE, now, bye=status != 481)

        headers = (("Accept", ", ".join(self._core.config.accept)),)
        self._core.send_in_dialog(
            subject, subject.require_dialog(), "OPTIONS", now, on_final=on_final, headers=headers
        )

    def send_info(self, leg: int, content_type: str, body: bytes, now: float) -> None:
        """Send an INFO; only a dead dialog (481, silence) is reported, as `LegEnded`."""
        subject = self._confirmed(leg)

        def on_final(status: int, response: SipResponse | None, now: float) -> None:
            if not subject.is_ended and (response is None or status in DIALOG_IS_GONE):
                self._core.lose(subject, EndCause.PEER_GONE, now, bye=status != 481)

        self._core.send_in_dialog(
            subject,
            subject.require_dialog(),
            "INFO",
            now,
            on_final=on_final,
            headers=(("Content-Type", content_type),),
            body=body,
        )

    def snapshot(self, leg: int) -> str:
        """
        JSON with all that `FormerDialogs.hang_up` needs of a leg as it is now.

        It changes with the answer, and before that with each `InviteSentAgain` and with each
        `Progress` of a new fork.
        """
        subject = self._core.leg(leg)
        if subject.state in UNANSWERED:
            return write_unanswered(subject)
        return subject.require_dialog().snapshot(subject.flow)

    def _confirmed(self, leg: int) -> Leg:
        subject = self._core.leg(leg)
        if subject.state is not LegState.CONFIRMED:
            raise LocalSipError(f"leg {leg} is {subject.state.value}")
        return subject

    # What the transaction layer hands up (TransactionUser)

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        """A new request other than ACK and CANCEL."""
        self._requests.on_request(transaction, now)

    def on_cancel(self, invite: ServerTransaction, now: float) -> None:
        """A CANCEL for an INVITE without final response."""
        self._incoming.on_cancel(invite, now)

    def on_ack(self, request: SipRequest, flow: Flow, now: float) -> None:
        """An ACK that is not that of a refusal."""
        if self._core.leg_of(request) is None:
            self.former.on_ack(request, now)
        else:
            self._incoming.on_ack(request, flow, now)

    def on_stray_response(self, response: SipResponse, flow: Flow, now: float) -> None:
        """A response that no transaction waits for."""
        if self._outgoing.repeat_ack(response) or self.is_stranger(flow):
            return
        self.former.on_stray_response(response, flow)

    def admits(self, request: SipRequest, flow: Flow, now: float) -> bool:
        """Whether a request is looked at, or dropped in silence (decision 9)."""
        if self._guard is None:
            return True
        if request.to_tag is not None and self._core.leg_of(request) is not None:
            return True
        if request.method == "INVITE" and request.to_tag is None:
            return self._guard.allows(flow.remote[0], now)
        return self._guard.is_known(flow.remote[0])

    def is_stranger(self, flow: Flow) -> bool:
        """Whether what cannot be read from there gets no answer."""
        return self._guard is not None and not self._guard.is_known(flow.remote[0])
