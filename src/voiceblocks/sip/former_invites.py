"""INVITEs that an earlier process left without final answer: the ringing stops.

```
ours      CANCEL ->   <- 200 (CANCEL), 487     ACK ->
          CANCEL ->   <- 200 (INVITE)          ACK, BYE ->
          CANCEL ->   <- 481, or 200 alone     BYE -> in each early dialog   (answered, not noted)
theirs    <- 503      ACK ->
          <- 503      silence, or ACK of a 200    <- BYE                     (answered, not noted)
```

The last line of each is for a process that died between an answer and its commit: the far end is
up, and ignores what is said of its INVITE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from voiceblocks.sip.client_transaction import Failure, build_cancel
from voiceblocks.sip.dialog import SEQUENCE_RESERVE, Dialog, DialogId
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.invite_usage import Leg, LegState
from voiceblocks.sip.message import SipRequest, SipResponse
from voiceblocks.sip.routing import DEFAULT_PORT
from voiceblocks.sip.server_transaction import ServerTransaction
from voiceblocks.sip.timers import TIMEOUT_S
from voiceblocks.sip.transaction import TransactionState
from voiceblocks.sip.unanswered_invite import UnansweredInvite
from voiceblocks.sip.user_agent_core import UserAgentCore

NOTED_TOO_LATE_S = 4.0
"""After so long without a word about its INVITE the far end is taken to be in a call with us: a
refusal has been sent four times by then, a CANCEL as often."""

REFUSAL = 503
"""The failure is ours and passes: whoever has another way tries it at once. Without Retry-After,
which would keep a carrier away from a node that is back (21.5.4); decision 59."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """An INVITE of theirs, and the dialog that it is if a 200 of ours has left."""

    leg: Leg
    dialog: Dialog
    transaction: ServerTransaction


class AnswerTaker(Protocol):
    """Acknowledges a 2xx to an INVITE of an earlier process, and hangs up."""

    def __call__(
        self,
        response: SipResponse,
        invite: SipRequest,
        flow: Flow,
        now: float,
        credentials: tuple[str, str] | None,
    ) -> None:
        """Do it; a repeated 2xx gets its ACK alone."""
        ...


class FormerInvites:
    """
    Ends them. No event tells how that went.

    Args:
        core: Shared with the rest of the user agent.
        hang_up_on: For who answers all the same.
    """

    def __init__(self, core: UserAgentCore, hang_up_on: AnswerTaker) -> None:
        self._core = core
        self._hang_up_on = hang_up_on
        self._refused: dict[DialogId, _Refused] = {}

    def end(
        self,
        left: UnansweredInvite,
        flow: Flow,
        now: float,
        credentials: tuple[str, str] | None,
    ) -> None:
        """
        Cancel what is ours, refuse what is theirs.

        Args:
            left: Of the earlier process.
            flow: Our socket to where the INVITE went or came from.
            now: Monotonic seconds.
            credentials: User name and password, should a BYE be challenged.
        """
        if left.is_ours:
            self._cancel(left, flow, now, credentials)
        else:
            self._refuse(left, flow, now)

    def on_ack(self, request: SipRequest, now: float) -> None:
        """An ACK that ends no refusal: the caller had heard a 200, so it is up."""
        dialog_id = (request.call_id, request.to_tag or "", request.from_tag or "")
        if dialog_id in self._refused:
            refusal = self._refused[dialog_id].transaction
            self._hang_up(dialog_id, now)
            # It ignores the refusal and will never acknowledge it.
            refusal.receive_ack(now)

    # Ours

    def _cancel(
        self,
        left: UnansweredInvite,
        flow: Flow,
        now: float,
        credentials: tuple[str, str] | None,
    ) -> None:
        core, invite = self._core, left.invite
        leg = Leg(0, LegState.ENDED, flow, invite)
        leg.digest = core.digest_client(credentials)

        def on_answer(response: SipResponse, now: float) -> None:
            if response.is_success:
                self._hang_up_on(response, invite, flow, now, credentials)

        waiting = core.layer.start_client(
            invite, flow, now, on_response=on_answer, on_failure=_ignore_failure, is_resumed=True
        )
        core.timers.schedule(now + TIMEOUT_S, waiting.give_up)
        early = list(left.early)

        def end_early_dialogs(now: float) -> None:
            # Legal for who called (RFC 3261 15), and right for a dialog that is confirmed.
            while early and waiting.is_waiting:
                core.send_bye(leg, early.pop(), now)

        def on_cancelled(response: SipResponse, now: float) -> None:
            if response.status == 481:
                end_early_dialogs(now)

        core.layer.start_client(
            build_cancel(invite), flow, now, on_response=on_cancelled, on_failure=_ignore_failure
        )
        core.timers.schedule(now + NOTED_TOO_LATE_S, end_early_dialogs)

    # Theirs

    def _refuse(self, left: UnansweredInvite, flow: Flow, now: float) -> None:
        core, invite = self._core, left.invite
        flow = _way_back(invite, flow)
        transaction = core.layer.resume_server(invite, flow, left.to_tag)
        if transaction is None:
            return
        core.layer.respond(transaction, REFUSAL, now)
        dialog = Dialog.from_invite(invite, left.to_tag, flow)
        dialog.local_sequence += SEQUENCE_RESERVE
        leg = Leg(0, LegState.ENDED, flow, invite)
        self._refused[dialog.id] = _Refused(leg, dialog, transaction)
        core.timers.schedule(now + NOTED_TOO_LATE_S, lambda now: self._hang_up(dialog.id, now))

    def _hang_up(self, dialog_id: DialogId, now: float) -> None:
        """Say BYE to a caller that has not acknowledged its refusal."""
        refused = self._refused.pop(dialog_id, None)
        if refused is not None and refused.transaction.state is TransactionState.COMPLETED:
            self._core.send_bye(refused.leg, refused.dialog, now)


def _way_back(invite: SipRequest, flow: Flow) -> Flow:
    """
    Where a response goes whose connection is gone: to the source, by the port of Via (18.2.2).

    Not to the host of Via, which would let a caller aim our connections at somebody else.
    """
    via = invite.top_via
    if via.transport != "TCP":
        return flow
    return flow.towards((flow.remote[0], via.port or DEFAULT_PORT), "tcp")


def _ignore_failure(failure: Failure, now: float) -> None:
    """Nobody is there: then nobody rings, or it rings to its own timer."""
