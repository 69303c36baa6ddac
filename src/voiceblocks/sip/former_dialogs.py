"""Calls that nobody holds any more: those of an earlier process, and answers that come late.

A process that died remembers nothing of an INVITE that was on its way. Its far end may answer
the restarted one, and would then wait for somebody to talk to: that answer is acknowledged and
hung up (RFC 3261 13.2.2.4), with nothing but what it says itself.
"""

from __future__ import annotations

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.dialog import SEQUENCE_RESERVE, Dialog, DialogId
from voiceblocks.sip.events import StrayAnswer
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.former_invites import FormerInvites
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.invite_usage import Leg, LegState
from voiceblocks.sip.message import SipRequest, SipResponse
from voiceblocks.sip.timers import TIMEOUT_S
from voiceblocks.sip.unanswered_invite import read_unanswered
from voiceblocks.sip.user_agent_core import UserAgentCore

MAX_HUNG_UP = 1000
"Late answers that are remembered at a time, each for 64*T1; further ones wait for their repeats."

_KEPT = ("Via", "From", "To", "Call-ID", "CSeq")


class FormerDialogs:
    """Says goodbye in dialogs without a leg. No event tells how that went."""

    def __init__(self, core: UserAgentCore) -> None:
        self._core = core
        self._hung_up: dict[DialogId, Leg] = {}
        self._invites = FormerInvites(core, self._hang_up_on)

    def hang_up(
        self, snapshot: str, flow: Flow, now: float, credentials: tuple[str, str] | None = None
    ) -> str:
        """
        End a leg of an earlier process: BYE if it was answered, else see `former_invites`.

        Args:
            snapshot: Of `UserAgent.snapshot`.
            flow: Our socket to where the peer was; TCP flows are still to be opened.
            now: Monotonic seconds.
            credentials: User name and password for challenges.

        Returns:
            Its Call-ID.

        Raises:
            ContractViolation: If it is no snapshot.
        """
        unanswered = read_unanswered(snapshot, flow)
        if unanswered is not None:
            self._invites.end(unanswered, flow, now, credentials)
            return unanswered.invite.call_id
        dialog = Dialog.from_snapshot(snapshot)
        invite = SipRequest("INVITE", dialog.remote_target)
        self._core.send_bye(self._former_leg(invite, flow, credentials), dialog, now)
        return dialog.call_id

    def refuse_answer(
        self, answer: StrayAnswer, now: float, credentials: tuple[str, str] | None = None
    ) -> None:
        """
        Acknowledge the answer to a forgotten INVITE and hang up; its repeats get their ACK.

        Args:
            answer: As it came.
            now: Monotonic seconds.
            credentials: User name and password, should the BYE be challenged.
        """
        response, flow = answer.response, answer.flow
        host, port = flow.remote
        wrapped = f"[{host}]" if ":" in host else host
        kept = [(name, response.headers.get(name) or "") for name in _KEPT]
        invite = SipRequest("INVITE", f"sip:{wrapped}:{port}", Headers(kept))
        self._hang_up_on(response, invite, flow, now, credentials)

    def on_ack(self, request: SipRequest, now: float) -> None:
        """An ACK that is not that of a refusal, and belongs to no leg."""
        self._invites.on_ack(request, now)

    def on_stray_response(self, response: SipResponse, flow: Flow) -> None:
        """A response from a known source that belongs to no transaction and no leg."""
        if response.cseq.method != "INVITE" or not response.is_success:
            return
        key = (response.call_id, response.from_tag or "", response.to_tag or "")
        known = self._hung_up.get(key)
        if known is not None:
            self._core.repeat_ack(known, response)
        elif self._is_ours(response, flow) and not self._is_awaited(response.call_id):
            self._core.events.append(StrayAnswer(response, flow))

    def _hang_up_on(
        self,
        response: SipResponse,
        invite: SipRequest,
        flow: Flow,
        now: float,
        credentials: tuple[str, str] | None,
    ) -> None:
        """See `AnswerTaker`."""
        dialog = Dialog.from_response(invite, response)
        known = self._hung_up.get(dialog.id)
        if known is not None:
            self._core.repeat_ack(known, response)
            return
        if len(self._hung_up) >= MAX_HUNG_UP:
            return
        # A PRACK of the former process may have counted on.
        dialog.local_sequence += SEQUENCE_RESERVE
        leg = self._former_leg(invite, flow, credentials)
        self._hung_up[dialog.id] = leg
        self._core.timers.schedule(now + TIMEOUT_S, lambda _now: self._forget(dialog.id))
        self._core.send_ack(leg, dialog, invite, response.cseq.number)
        self._core.send_bye(leg, dialog, now)

    def _forget(self, dialog: DialogId) -> None:
        self._hung_up.pop(dialog, None)

    def _is_ours(self, response: SipResponse, flow: Flow) -> bool:
        """Whether the request came from this address (18.1.2); else it is somebody's mistake."""
        try:
            via = response.top_via
        except RemoteSipError:
            return False
        host, port = self._core.config.host_port(flow)
        return (via.host.lower(), via.port or 5060) == (host.lower(), port)

    def _is_awaited(self, call_id: str) -> bool:
        """Whether a leg of ours still waits for an answer, which comes by its transaction."""
        return any(
            leg.dialog is None and leg.invite.call_id == call_id for leg in self._core.legs.values()
        )

    def _former_leg(
        self, invite: SipRequest, flow: Flow, credentials: tuple[str, str] | None
    ) -> Leg:
        leg = Leg(0, LegState.ENDED, flow, invite)
        leg.digest = self._core.digest_client(credentials)
        return leg
