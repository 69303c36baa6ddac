"""Offers inside a dialog, both ways: re-INVITE (RFC 3261 14) and UPDATE (RFC 3311).

At most one exchange is open at a time; what crosses it gets 491 or 500 by the rules, and
our own waits its turn.
"""

from __future__ import annotations

from voiceblocks.errors import LocalSipError
from voiceblocks.sip.bodies import session_description
from voiceblocks.sip.events import (
    EndCause,
    OfferAnswered,
    OfferReceived,
    OfferRefused,
    OfferWithdrawn,
)
from voiceblocks.sip.invite_usage import AcceptedInvite, Leg, LegState
from voiceblocks.sip.message import SipRequest, SipResponse
from voiceblocks.sip.server_transaction import ServerTransaction
from voiceblocks.sip.session_keeper import SessionKeeper
from voiceblocks.sip.session_timer import answer_session
from voiceblocks.sip.user_agent_core import DIALOG_IS_GONE, UserAgentCore, readable_or_none

_MAX_RETRIES = 5
"After so many crossings (491) in a row our offer counts as refused."

_MAX_RETRY_AFTER_S = 10.0


class Renegotiation:
    """Changes to the session of a confirmed leg."""

    def __init__(self, core: UserAgentCore) -> None:
        self._core = core
        self.sessions = SessionKeeper(core, self._refresh)

    # The peer's offers

    def on_invite(self, leg: Leg, transaction: ServerTransaction, now: float) -> None:
        """A re-INVITE of the peer."""
        if leg.state is LegState.INCOMING or leg.peer_offer or leg.accepted:
            self._refuse_for_now(transaction)
        elif leg.our_offer or leg.state in (LegState.CALLING, LegState.PROCEEDING):
            self._core.layer.refuse_and_forget(transaction, 491)
        elif leg.state is not LegState.CONFIRMED:
            self._core.layer.refuse_and_forget(transaction, 481)
        else:
            offer = self._take(leg, transaction)
            self._core.layer.respond(transaction, 100, now)
            self._core.events.append(OfferReceived(leg.handle, offer, "INVITE"))

    def on_update(self, leg: Leg, transaction: ServerTransaction, now: float) -> None:
        """An UPDATE of the peer: with SDP an offer, without only a refresh."""
        request = transaction.request
        offer = session_description(request)
        if offer is None:
            self._accept_refresh(leg, transaction, now)
        elif leg.our_offer:
            self._core.layer.refuse_and_forget(transaction, 491)
        elif leg.state is not LegState.CONFIRMED or leg.peer_offer or leg.accepted:
            # Before our answer to the INVITE there is an offer without answer (5.2).
            self._refuse_for_now(transaction)
        else:
            self._take(leg, transaction)
            self._core.events.append(OfferReceived(leg.handle, offer, "UPDATE"))

    def _refuse_for_now(self, transaction: ServerTransaction) -> None:
        seconds = int(self._core.fraction() * 10)
        self._core.layer.refuse_and_forget(
            transaction, 500, "Another Offer Is Pending", (("Retry-After", str(seconds)),)
        )

    def _take(self, leg: Leg, transaction: ServerTransaction) -> bytes | None:
        """Check an offer; nothing has changed when this raises RemoteSipError."""
        request = transaction.request
        offer = session_description(request)
        config = self._core.config
        answer_session(request.headers, wanted_s=config.session_expires_s, min_se_s=config.min_se_s)
        leg.require_dialog().refresh_target(request)
        leg.peer_offer = transaction
        return offer

    def _accept_refresh(self, leg: Leg, transaction: ServerTransaction, now: float) -> None:
        lines = self._session_lines(leg, transaction.request, now)
        leg.require_dialog().refresh_target(transaction.request)
        headers = (*self._core.dialog_headers(leg.flow), *lines)
        self._core.layer.respond(transaction, 200, now, headers=headers)

    def _session_lines(
        self, leg: Leg, request: SipRequest, now: float
    ) -> tuple[tuple[str, str], ...]:
        config = self._core.config
        answer = answer_session(
            request.headers,
            wanted_s=leg.session.interval_s if leg.session else config.session_expires_s,
            min_se_s=config.min_se_s,
        )
        if leg.state is LegState.CONFIRMED:
            self.sessions.start(leg, answer.agreement, now)
        return answer.headers

    def withdraw(self, leg: Leg, transaction: ServerTransaction, now: float) -> None:
        """The peer cancelled its re-INVITE."""
        self._core.layer.respond(transaction, 487, now)
        if leg.peer_offer is transaction:
            leg.peer_offer = None
            self._core.events.append(OfferWithdrawn(leg.handle))
            self.pump(leg, now)

    def forget_lost_offers(self, now: float) -> None:
        """After a connection was lost: offers that can no longer be answered are withdrawn."""
        for leg in list(self._core.legs.values()):
            if leg.peer_offer is not None and leg.peer_offer.is_answered:
                leg.peer_offer = None
                self._core.events.append(OfferWithdrawn(leg.handle))
                self.pump(leg, now)

    def answer_offer(self, leg: Leg, sdp: bytes | None, now: float, status: int) -> None:
        """
        Answer the pending offer; `None` refuses with `status`.

        Raises:
            LocalSipError: If none is pending.
        """
        transaction = leg.peer_offer
        if transaction is None:
            raise LocalSipError(f"leg {leg.handle} has no offer to answer")
        if sdp is None and status < 300:
            raise LocalSipError("a refusal needs a status of 300 or more")
        leg.peer_offer = None
        if sdp is None:
            self._core.layer.respond(transaction, status, now)
            self.pump(leg, now)
            return
        request = transaction.request
        offer = readable_or_none(lambda: session_description(request))
        if offer is not None:
            leg.remote_sdp = offer
        leg.local_sdp = sdp
        lines = self._session_lines(leg, request, now)
        headers = (
            *self._core.dialog_headers(leg.flow),
            *lines,
            ("Content-Type", "application/sdp"),
        )
        response = self._core.layer.build_response(transaction, 200, None, headers, sdp)
        transaction.respond(response, now)
        if request.method == "INVITE":
            self.await_ack(leg, transaction, response, now, we_offered=offer is None)
        else:
            self.pump(leg, now)

    def await_ack(
        self,
        leg: Leg,
        transaction: ServerTransaction,
        response: SipResponse,
        now: float,
        *,
        we_offered: bool,
    ) -> None:
        """Repeat a 2xx until its ACK comes; without it hang up after 64*T1 (13.3.1.4)."""
        data = response.serialize()

        def send() -> None:
            self._core.layer.send(data, transaction.flow)

        def never_acknowledged(now: float) -> None:
            if leg.hang_up_after_ack:
                self._core.end_with_bye(leg, now)
            else:
                self._core.lose(leg, EndCause.NO_ACK, now, bye=True)

        leg.accepted = AcceptedInvite(
            self._core.timers,
            now,
            sequence=transaction.request.cseq.number,
            we_offered=we_offered,
            send=send,
            never_acknowledged=never_acknowledged,
        )

    # Our offers

    def reoffer(self, leg: Leg, sdp: bytes, now: float) -> None:
        """
        Send a re-INVITE, now or as soon as nothing else is open.

        Raises:
            LocalSipError: If the leg is not answered.
        """
        if leg.state not in (LegState.ANSWERED, LegState.CONFIRMED):
            raise LocalSipError(f"an offer while the leg is {leg.state.value}")
        leg.wanted_offer = sdp
        self.pump(leg, now)

    def pump(self, leg: Leg, now: float) -> None:
        """Send the offer that waits, if the way is free."""
        busy = leg.our_offer or leg.peer_offer or leg.accepted or leg.answer_owed
        may_send = leg.state is LegState.CONFIRMED and "glare" not in leg.timers
        if leg.wanted_offer is None or busy or not may_send:
            return
        sdp, leg.wanted_offer = leg.wanted_offer, None
        self._reinvite(leg, sdp, now, is_refresh=False)

    def _refresh(self, leg: Leg, now: float) -> None:
        if leg.local_sdp is not None:
            self._reinvite(leg, leg.local_sdp, now, is_refresh=True)

    def _reinvite(self, leg: Leg, sdp: bytes, now: float, *, is_refresh: bool) -> None:
        leg.our_offer = True

        def on_final(status: int, response: SipResponse | None, now: float) -> None:
            if response is not None and 200 <= status < 300:
                self._on_accepted(leg, sdp, response, now, is_refresh=is_refresh)
                return
            leg.our_offer = False
            if leg.state is not LegState.CONFIRMED:
                return
            if response is None or status in DIALOG_IS_GONE:
                self._core.lose(leg, EndCause.PEER_GONE, now, bye=status != 481)
                return
            delay_s = self._retry_delay(leg, response)
            if delay_s is None:
                self._give_up(leg, status, now, is_refresh=is_refresh)
                return
            leg.offer_retries += 1
            if is_refresh:
                self.sessions.refresh_at(leg, now + delay_s)
            else:
                leg.wanted_offer = leg.wanted_offer or sdp
                self._wait(leg, now + delay_s)

        dialog = leg.require_dialog()
        headers = (
            *self._core.dialog_headers(leg.flow),
            *self.sessions.request_headers(leg),
            ("Content-Type", "application/sdp"),
        )
        self._core.send_in_dialog(
            leg, dialog, "INVITE", now, on_final=on_final, headers=headers, body=sdp
        )

    def _wait(self, leg: Leg, until: float) -> None:
        """Leave the way free after a glare; the peer may come first (14.1)."""

        def fire(now: float) -> None:
            leg.timers.pop("glare", None)
            self.pump(leg, now)

        leg.timers["glare"] = self._core.timers.schedule(until, fire)

    def _give_up(self, leg: Leg, status: int, now: float, *, is_refresh: bool) -> None:
        leg.offer_retries = 0
        if is_refresh:
            self.sessions.keep_going(leg, now)
        else:
            self._core.events.append(OfferRefused(leg.handle, status))
        self.pump(leg, now)

    def _on_accepted(
        self, leg: Leg, sdp: bytes, response: SipResponse, now: float, *, is_refresh: bool
    ) -> None:
        if self._core.repeat_ack(leg, response):
            return
        dialog = leg.require_dialog()
        dialog.refresh_target(response)
        invite = leg.client.request if leg.client is not None else leg.invite
        self._core.send_ack(leg, dialog, invite, response.cseq.number)
        leg.our_offer = False
        leg.offer_retries = 0
        if leg.state is not LegState.CONFIRMED:
            return
        answer = readable_or_none(lambda: session_description(response))
        changed = answer != leg.remote_sdp
        leg.local_sdp, leg.remote_sdp = sdp, answer
        self.sessions.note_success(leg, response, now)
        if changed or not is_refresh:
            self._core.events.append(OfferAnswered(leg.handle, answer))
        self.pump(leg, now)

    def _retry_delay(self, leg: Leg, response: SipResponse) -> float | None:
        """Seconds after which a refused re-INVITE is worth another try, or `None`."""
        if leg.offer_retries >= _MAX_RETRIES:
            return None
        if response.status == 491:
            # In units of 10 ms: 2.1 to 4 s for the owner of the Call-ID, else 0 to 2 s (14.1).
            owner = leg.require_dialog().is_caller
            low, high = (2.1, 4.0) if owner else (0.0, 2.0)
            return round(low + self._core.fraction() * (high - low), 2)
        if response.status == 422 and self.sessions.learn_min_se(leg, response):
            return 0.0
        if response.status == 500:
            text = (response.headers.get("Retry-After") or "").split("(")[0].split(";")[0].strip()
            if text.isascii() and text.isdigit() and len(text) <= 2:
                return min(float(text) + 0.1, _MAX_RETRY_AFTER_S)
        return None
