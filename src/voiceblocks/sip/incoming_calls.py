"""Calls that come in: the INVITE up to its ACK (RFC 3261 13.3, 14.2, RFC 3262 3)."""

from __future__ import annotations

from collections.abc import Sequence

from voiceblocks.errors import LocalSipError
from voiceblocks.sip.bodies import session_description
from voiceblocks.sip.dialog import Dialog, option_tags
from voiceblocks.sip.events import (
    AnswerSent,
    EndCause,
    InviteReceived,
    LegCancelled,
    LegConfirmed,
    LegEnded,
    OfferAnswered,
)
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.invite_usage import Leg, LegEvent, LegState
from voiceblocks.sip.message import SipRequest
from voiceblocks.sip.reliability import RAck, ReliableSender
from voiceblocks.sip.renegotiation import Renegotiation
from voiceblocks.sip.server_transaction import ServerTransaction
from voiceblocks.sip.session_timer import answer_session
from voiceblocks.sip.timers import RING_REPEAT_S
from voiceblocks.sip.user_agent_core import UserAgentCore, readable_or_none


class IncomingCalls:
    """The called side of a leg."""

    def __init__(self, core: UserAgentCore, renegotiation: Renegotiation) -> None:
        self._core = core
        self._renegotiation = renegotiation

    # From the peer

    def on_invite(self, transaction: ServerTransaction, now: float) -> None:
        """
        An INVITE outside any dialog.

        Raises:
            RemoteSipError: If it cannot be a call; nothing was kept.
        """
        request, config = transaction.request, self._core.config
        offer = session_description(request)
        # Only checked here: what is agreed depends on when the call is answered.
        answer_session(request.headers, wanted_s=config.session_expires_s, min_se_s=config.min_se_s)
        tag = self._core.layer.stateless_tag(request)
        dialog = Dialog.from_invite(request, tag, transaction.flow)
        transaction.to_tag = tag
        leg = self._core.add_leg(LegState.INCOMING, transaction.flow, request)
        leg.server = transaction
        leg.offer_was_sent = offer is not None
        leg.remote_sdp = offer
        if "100rel" in option_tags(request.headers, "Require"):
            first_number = 1 + int(self._core.fraction() * 10_000)
            leg.reliable = ReliableSender(self._core.timers, first_number)
        self._core.use_dialog(leg, dialog)
        self._core.layer.respond(transaction, 100, now)
        self._core.events.append(InviteReceived(leg.handle, request, offer, transaction.flow))

    def on_cancel(self, transaction: ServerTransaction, now: float) -> None:
        """The peer gave up a call or a re-INVITE; the CANCEL itself is answered."""
        request = transaction.request
        tag = request.to_tag or transaction.to_tag or ""
        leg = self._core.dialogs.get((request.call_id, tag, request.from_tag or ""))
        if leg is not None and leg.server is not transaction:
            self._renegotiation.withdraw(leg, transaction, now)
            return
        self._core.layer.respond(transaction, 487, now)
        if leg is not None:
            self._core.end(leg, LegEvent.CANCELLED, now, LegCancelled(leg.handle))

    def on_early_bye(self, leg: Leg, now: float) -> None:
        """A BYE before our final answer ends the call as a CANCEL does (15.1.2)."""
        if leg.server is not None and not leg.server.is_answered:
            self._core.layer.respond(leg.server, 487, now)
        self._core.end(leg, LegEvent.PEER_HUNG_UP, now, LegCancelled(leg.handle))

    def on_ack(self, request: SipRequest, flow: Flow, now: float) -> None:
        """The ACK of a 2xx; any other is none of our business."""
        leg = self._core.leg_of(request)
        if leg is None or leg.accepted is None or request.cseq.number != leg.accepted.sequence:
            return
        accepted, leg.accepted = leg.accepted, None
        accepted.stop()
        leg.flow = flow
        answer: bytes | None = None
        if accepted.we_offered:
            answer = readable_or_none(lambda: session_description(request))
            leg.remote_sdp = answer
        was_answered = leg.state is LegState.ANSWERED
        leg.advance(LegEvent.ACKNOWLEDGED)
        if leg.hang_up_after_ack:
            self._core.end_with_bye(leg, now)
            return
        if was_answered:
            self._core.events.append(LegConfirmed(leg.handle, answer))
        elif accepted.we_offered and leg.state is LegState.CONFIRMED:
            self._core.events.append(OfferAnswered(leg.handle, answer))
        self._renegotiation.pump(leg, now)

    def on_prack(self, leg: Leg, transaction: ServerTransaction, now: float) -> None:
        """The acknowledgement of a reliable provisional response (RFC 3262 3)."""
        request = transaction.request
        rack = RAck.parse(request.headers)
        if leg.reliable is None or not leg.reliable.acknowledge(rack, leg.invite.cseq.number):
            self._core.layer.refuse_and_forget(transaction, 481)
            return
        if request.body.strip():
            # A further offer inside the PRACK; the call itself goes on (RFC 3262 5).
            self._core.layer.respond(transaction, 488, now)
        else:
            self._core.layer.respond(transaction, 200, now)
        if leg.deferred_answer is not None:
            self._accept(leg, leg.deferred_answer, now)
            self._core.events.append(AnswerSent(leg.handle))
        elif leg.deferred_ring is not None:
            (sdp,), leg.deferred_ring = leg.deferred_ring, None
            self.ring(leg, sdp, now)

    # Commands

    def ring(self, leg: Leg, sdp: bytes | None, now: float) -> None:
        """
        Send 180, or 183 with SDP, and repeat it each minute.

        An SDP for a call without offer is left out: only a reliable response may hold one.

        Raises:
            LocalSipError: If the call is not waiting for its answer.
        """
        transaction = self._waiting_invite(leg)
        if not leg.offer_was_sent:
            sdp = None
            if leg.reliable is not None:
                # The first reliable response would have to hold our offer (RFC 3261 13.2.1),
                # and an unreliable one was ruled out: the caller hears of us with the 200.
                return
        if leg.reliable is not None and leg.reliable.is_pending:
            leg.deferred_ring = (sdp,)
            return
        headers = self._core.dialog_headers(leg.flow)
        if sdp is not None:
            headers = (*headers, ("Content-Type", "application/sdp"))
        number = 0
        if leg.reliable is not None:
            number = leg.reliable.take_number()
            headers = (*headers, ("Require", "100rel"), ("RSeq", str(number)))
        response = self._core.layer.build_response(
            transaction, 180 if sdp is None else 183, None, headers, sdp or b""
        )
        transaction.respond(response, now)
        if leg.reliable is not None:
            data = response.serialize()

            def repeat() -> None:
                self._core.layer.send(data, transaction.flow)

            def give_up(now: float) -> None:
                self._core.layer.respond(transaction, 500, now, reason="No PRACK")
                self._core.lose(leg, EndCause.NO_PRACK, now, bye=False)

            leg.reliable.start(number, now, has_sdp=sdp is not None, repeat=repeat, give_up=give_up)
        self._repeat_ring(leg, sdp, now)

    def _repeat_ring(self, leg: Leg, sdp: bytes | None, now: float) -> None:
        timer = leg.timers.pop("ring", None)
        if timer is not None:
            timer.cancel()

        def fire(now: float) -> None:
            self.ring(leg, sdp, now)

        leg.timers["ring"] = self._core.timers.schedule(now + RING_REPEAT_S, fire)

    def answer(self, leg: Leg, sdp: bytes, now: float) -> bool:
        """
        Accept the call.

        Returns:
            Whether the 200 has left; else it waits for a PRACK, and `AnswerSent` follows.

        Raises:
            LocalSipError: If it is not waiting for its answer.
        """
        self._waiting_invite(leg)
        if leg.deferred_answer is not None:
            raise LocalSipError(f"leg {leg.handle} is answered already")
        if leg.reliable is not None and leg.reliable.blocks_answer:
            leg.deferred_answer = sdp
            return False
        self._accept(leg, sdp, now)
        return True

    def _accept(self, leg: Leg, sdp: bytes, now: float) -> None:
        transaction, core = self._waiting_invite(leg), self._core
        session = answer_session(
            leg.invite.headers,
            wanted_s=core.config.session_expires_s,
            min_se_s=core.config.min_se_s,
        )
        headers = (*core.dialog_headers(leg.flow), *session.headers)
        # Offer and answer are done when a reliable 183 carried the answer (RFC 6337 3.1.2).
        body = b"" if leg.reliable is not None and leg.reliable.sdp_acknowledged else sdp
        if body:
            headers = (*headers, ("Content-Type", "application/sdp"))
        response = core.layer.build_response(transaction, 200, None, headers, body)
        leg.advance(LegEvent.ANSWER)
        leg.stop_timers()
        leg.deferred_answer = leg.deferred_ring = None
        leg.local_sdp = sdp
        transaction.respond(response, now)
        self._renegotiation.await_ack(
            leg, transaction, response, now, we_offered=not leg.offer_was_sent
        )
        self._renegotiation.sessions.start(leg, session.agreement, now)

    def refuse(
        self,
        leg: Leg,
        status: int,
        now: float,
        reason: str | None,
        headers: Sequence[tuple[str, str]],
    ) -> None:
        """
        Refuse the call; the leg is gone, its 487-to-699 is repeated until the ACK comes.

        Raises:
            LocalSipError: If it is answered already, or the status is no refusal.
        """
        if not 300 <= status <= 699:
            raise LocalSipError(f"{status} does not refuse a call")
        transaction = self._waiting_invite(leg)
        self._core.layer.respond(transaction, status, now, reason=reason, headers=headers)
        self._core.end(leg, LegEvent.REFUSE, now, None)

    def decline(self, leg: Leg, now: float) -> None:
        """Hang up a call that rings."""
        self._core.layer.respond(self._waiting_invite(leg), 603, now)
        last = LegEnded(leg.handle, EndCause.HUNG_UP)
        self._core.end(leg, LegEvent.HANG_UP, now, last)

    def _waiting_invite(self, leg: Leg) -> ServerTransaction:
        if leg.state is not LegState.INCOMING or leg.server is None:
            raise LocalSipError(f"leg {leg.handle} is {leg.state.value}, not waiting for an answer")
        return leg.server
