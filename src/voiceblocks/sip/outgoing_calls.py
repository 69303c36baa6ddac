"""Calls that we place: the INVITE up to its ACK (RFC 3261 13.2, 9.1, RFC 3262 4, RFC 7616).

A 2xx that comes when the call was already cancelled, and each 2xx of a further fork, is
acknowledged and hung up, as 13.2.2.4 asks.
"""

from __future__ import annotations

from collections.abc import Sequence

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.address import NameAddr
from voiceblocks.sip.bodies import session_description
from voiceblocks.sip.client_transaction import Failure, build_cancel
from voiceblocks.sip.dialog import Dialog, option_tags
from voiceblocks.sip.events import Answered, CallFailed, InviteSentAgain, Progress
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.invite_usage import Leg, LegEvent, LegState
from voiceblocks.sip.message import REASONS, SipRequest, SipResponse
from voiceblocks.sip.reliability import read_rseq
from voiceblocks.sip.renegotiation import Renegotiation
from voiceblocks.sip.session_timer import ask_for_session, conclude_session, read_min_se
from voiceblocks.sip.timers import TIMEOUT_S
from voiceblocks.sip.user_agent_core import (
    MAX_AUTH_ATTEMPTS,
    OnFinal,
    UserAgentCore,
    readable_or_none,
)

_WAITING = (LegState.CALLING, LegState.PROCEEDING)

_MAX_FORKS = 32
"Early dialogs of one call; further ones are shown as progress only."


class OutgoingCalls:
    """The calling side of a leg."""

    def __init__(self, core: UserAgentCore, renegotiation: Renegotiation) -> None:
        self._core = core
        self._renegotiation = renegotiation

    # Commands

    def call(
        self,
        *,
        target: str,
        from_: str,
        to: str,
        flow: Flow,
        sdp: bytes | None,
        now: float,
        headers: Sequence[tuple[str, str]],
        credentials: tuple[str, str] | None,
    ) -> int:
        """See `UserAgent.call`."""
        core = self._core
        invite = self._new_request("INVITE", target, flow, from_=from_, to=to)
        # Without an offer of ours a reliable 18x would hold the peer's, and its PRACK would
        # have to answer it: then we do not offer 100rel.
        supported = [tag for tag in core.config.supported if sdp is not None or tag != "100rel"]
        invite.headers.extend(
            (
                ("Contact", core.config.contact(flow)),
                ("Allow", ", ".join(core.config.allow)),
                ("Supported", ", ".join(supported)),
                *ask_for_session(core.config.session_expires_s, core.config.min_se_s),
                *headers,
            )
        )
        if sdp is not None:
            invite.headers.add("Content-Type", "application/sdp")
            invite.body = sdp
        invite.serialize()
        leg = core.add_leg(LegState.CALLING, flow, invite)
        leg.digest = core.digest_client(credentials)
        leg.local_sdp = sdp
        self._send(leg, invite, now)
        return leg.handle

    def send_options(self, target: str, flow: Flow, now: float, on_final: OnFinal) -> None:
        """Send an OPTIONS outside any dialog."""
        user = self._core.config.contact_user
        host, port = self._core.config.host_port(flow)
        us = f"sip:{user}@{host}:{port}"
        request = self._new_request("OPTIONS", target, flow, from_=us, to=target)
        request.headers.add("Contact", self._core.config.contact(flow))
        request.headers.add("Accept", ", ".join(self._core.config.accept))

        def on_response(response: SipResponse, now: float) -> None:
            if response.status >= 200:
                on_final(response.status, response, now)

        def on_failure(failure: Failure, now: float) -> None:
            on_final(failure.value, None, now)

        self._core.layer.start_client(
            request, flow, now, on_response=on_response, on_failure=on_failure
        )

    def cancel(self, leg: Leg, now: float) -> None:
        """Give the call up: CANCEL, but only once the peer has shown life (9.1)."""
        was_proceeding = leg.state is LegState.PROCEEDING
        leg.advance(LegEvent.HANG_UP)
        if was_proceeding:
            self._send_cancel(leg, now)

    def acknowledge(self, leg: Leg, sdp: bytes | None, now: float) -> None:
        """Send the ACK that waited for our answer to the offer in a 2xx, if there is one."""
        if leg.answer_owed is None:
            return
        number, leg.answer_owed = leg.answer_owed[1], None
        leg.local_sdp = sdp
        self._core.send_ack(leg, leg.require_dialog(), leg.invite, number, sdp)
        self._renegotiation.pump(leg, now)

    def _new_request(
        self, method: str, target: str, flow: Flow, *, from_: str, to: str
    ) -> SipRequest:
        core = self._core
        headers = Headers()
        headers.add("Via", core.new_via(flow))
        headers.add("Max-Forwards", "70")
        headers.add("From", f"{_address(from_)};tag={core.random_text(12)}")
        headers.add("To", _address(to))
        headers.add("Call-ID", core.random_text(24))
        headers.add("CSeq", f"1 {method}")
        headers.extend(core.user_agent_header())
        return SipRequest(method, target, headers)

    def _send(self, leg: Leg, invite: SipRequest, now: float) -> None:
        leg.invite = invite
        leg.attempts += 1

        def on_response(response: SipResponse, now: float) -> None:
            self._on_response(leg, invite, response, now)

        def on_failure(failure: Failure, now: float) -> None:
            cancelled = leg.state is LegState.CANCELLING
            status = 487 if cancelled else failure.value
            self._fail(leg, status, REASONS.get(status, ""), None, now)

        leg.client = self._core.layer.start_client(
            invite, leg.flow, now, on_response=on_response, on_failure=on_failure
        )

    def _send_again(self, leg: Leg, headers: Sequence[tuple[str, str]], now: float) -> None:
        """Repeat the INVITE with changed headers: next CSeq, own branch (8.1.3.5)."""
        invite = SipRequest("INVITE", leg.invite.uri, leg.invite.headers.copy(), leg.invite.body)
        answers = () if leg.digest is None else leg.digest.ahead(invite)
        for name, value in (*headers, *answers):
            invite.headers.set(name, value)
        invite.headers.set("Via", self._core.new_via(leg.flow))
        invite.headers.set("CSeq", f"{leg.invite.cseq.number + 1} INVITE")
        leg.state = LegState.CALLING
        self._drop_early(leg)
        self._send(leg, invite, now)
        self._core.events.append(InviteSentAgain(leg.handle))

    def _send_cancel(self, leg: Leg, now: float) -> None:
        client = leg.client
        if leg.cancel_sent or client is None:
            return
        leg.cancel_sent = True

        def ignore_response(response: SipResponse, now: float) -> None:
            """The final response of the INVITE decides."""

        def ignore_failure(failure: Failure, now: float) -> None:
            """Likewise."""

        self._core.layer.start_client(
            build_cancel(leg.invite),
            client.flow,
            now,
            on_response=ignore_response,
            on_failure=ignore_failure,
        )
        # A peer that never answers the INVITE after its CANCEL counts as gone (9.1).
        leg.timers["cancel"] = self._core.timers.schedule(now + TIMEOUT_S, client.give_up)

    # Responses

    def _on_response(self, leg: Leg, invite: SipRequest, response: SipResponse, now: float) -> None:
        if leg.client is not None and leg.client.request is invite:
            leg.flow = leg.client.flow
        if response.status < 200:
            self._on_provisional(leg, invite, response, now)
        elif response.status < 300:
            self._on_success(leg, invite, response, now)
        else:
            self._on_refusal(leg, response, now)

    def _on_provisional(
        self, leg: Leg, invite: SipRequest, response: SipResponse, now: float
    ) -> None:
        if not leg.advance(LegEvent.PROVISIONAL):
            return
        if leg.state is LegState.CANCELLING:
            self._send_cancel(leg, now)
            return
        if response.status == 100:
            return
        if response.to_tag and (response.to_tag in leg.early or len(leg.early) < _MAX_FORKS):
            dialog = self._early_dialog(leg, invite, response)
            number = read_rseq(response.headers)
            if number is not None and "100rel" in option_tags(response.headers, "Require"):
                if not leg.rseqs.accept(dialog.remote_tag, number):
                    return
                self._send_prack(leg, dialog, number, invite.cseq.number, now)
        sdp = readable_or_none(lambda: session_description(response))
        self._core.events.append(Progress(leg.handle, response.status, sdp))

    def _early_dialog(self, leg: Leg, invite: SipRequest, response: SipResponse) -> Dialog:
        dialog = leg.early.get(response.to_tag or "")
        if dialog is None:
            dialog = Dialog.from_response(invite, response)
            leg.early[dialog.remote_tag] = dialog
            self._core.dialogs[dialog.id] = leg
        else:
            dialog.refresh_target(response)
        return dialog

    def _send_prack(
        self, leg: Leg, dialog: Dialog, number: int, invite_number: int, now: float
    ) -> None:
        def ignore(status: int, response: SipResponse | None, now: float) -> None:
            """The peer repeats its response if the PRACK was lost, or fails the call."""

        headers = (("RAck", f"{number} {invite_number} INVITE"),)
        self._core.send_in_dialog(leg, dialog, "PRACK", now, on_final=ignore, headers=headers)

    def _on_success(self, leg: Leg, invite: SipRequest, response: SipResponse, now: float) -> None:
        number = response.cseq.number
        if self._core.repeat_ack(leg, response) or leg.answer_owed == (response.to_tag, number):
            return
        dialog = Dialog.from_response(invite, response)
        early = leg.early.pop(dialog.remote_tag, None)
        if early is not None:
            # The route set is that of the 2xx (13.2.2.4), the numbers go on.
            dialog.local_sequence = early.local_sequence
            dialog.remote_sequence = early.remote_sequence
            dialog.peer_allows = dialog.peer_allows or early.peer_allows
        if leg.is_ended or leg.dialog is not None:
            # Another fork was first, or nobody waits any more.
            self._core.send_ack(leg, dialog, invite, number)
            self._core.send_bye(leg, dialog, now)
            return
        was_cancelled = leg.state is LegState.CANCELLING
        leg.advance(LegEvent.ACCEPTED)
        leg.stop_timers()
        self._drop_early(leg)
        self._core.use_dialog(leg, dialog)
        if was_cancelled:
            self._core.send_ack(leg, dialog, invite, number)
            last = CallFailed(leg.handle, 487, REASONS[487], None)
            self._core.end_with_bye(leg, now, last)
            return
        sdp = readable_or_none(lambda: session_description(response))
        leg.remote_sdp = sdp
        if leg.local_sdp is None and sdp is not None:
            leg.answer_owed = (dialog.remote_tag, number)
        else:
            self._core.send_ack(leg, dialog, invite, number)
        asked_s = max(self._core.config.session_expires_s, leg.session_min_se_s)
        agreement = conclude_session(response.headers, asked_s=asked_s)
        self._renegotiation.sessions.start(leg, agreement, now)
        self._core.events.append(Answered(leg.handle, sdp, response))

    def _on_refusal(self, leg: Leg, response: SipResponse, now: float) -> None:
        status = response.status
        if leg.state in _WAITING and leg.attempts < MAX_AUTH_ATTEMPTS:
            if (
                status in (401, 407)
                and leg.digest is not None
                and leg.digest.learn(leg.invite, response) is not None
            ):
                self._send_again(leg, (), now)
                return
            min_se_s = read_min_se(response.headers)
            if status == 422 and min_se_s > leg.session_min_se_s:
                leg.session_min_se_s = min_se_s
                interval_s = max(self._core.config.session_expires_s, min_se_s)
                self._send_again(leg, ask_for_session(interval_s, min_se_s), now)
                return
        if leg.state is LegState.CANCELLING:
            self._fail(leg, 487, REASONS[487], response, now)
        else:
            self._fail(leg, status, response.reason, response, now)

    def _fail(
        self, leg: Leg, status: int, reason: str, response: SipResponse | None, now: float
    ) -> None:
        contacts: tuple[str, ...] = ()
        if response is not None and 300 <= response.status < 400:
            contacts = _contacts(response)
        last = CallFailed(leg.handle, status, reason, response, contacts)
        self._core.end(leg, LegEvent.REJECTED, now, last)

    def _drop_early(self, leg: Leg) -> None:
        for dialog in leg.early.values():
            self._core.dialogs.pop(dialog.id, None)
        leg.early.clear()

    def repeat_ack(self, response: SipResponse) -> bool:
        """
        Acknowledge a 2xx repeated so late that its transaction is gone.

        Returns:
            Whether it belongs to a leg that has not ended.
        """
        leg = self._core.dialogs.get(
            (response.call_id, response.from_tag or "", response.to_tag or "")
        )
        if leg is not None and response.cseq.method == "INVITE" and response.is_success:
            self._core.repeat_ack(leg, response)
        return leg is not None


def _address(text: str) -> str:
    """A From or To value; a bare URI gets brackets, so that its parameters stay its own."""
    return text if "<" in text else f"<{text}>"


def _contacts(response: SipResponse) -> tuple[str, ...]:
    """URIs of a 3xx in order, unreadable ones left out."""
    found: list[str] = []
    try:
        values = response.headers.values("Contact")
    except RemoteSipError:
        return ()
    for value in values:
        try:
            found.append(NameAddr.parse(value).uri)
        except RemoteSipError:
            continue
    return tuple(found)
