"""Client transactions (RFC 3261 17.1, RFC 6026 7.2): one request of ours and its answers.

They repeat the request on UDP until something comes back, hand every new response to
their owner, and acknowledge the refusal of an INVITE. Which state follows which is in
`transaction`. The ACK of a 2xx is a request of its own and belongs to the dialog.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from voiceblocks.sip.flow import Flow
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.message import SipRequest, SipResponse
from voiceblocks.sip.timers import T2_S, T4_S, TIMEOUT_S, TIMER_D_S, Repeater, Timer, TimerQueue
from voiceblocks.sip.transaction import (
    INVITE_CLIENT,
    NON_INVITE_CLIENT,
    TransactionEvent,
    TransactionKey,
    TransactionState,
    advance,
    response_event,
)

_S = TransactionState
_E = TransactionEvent


class Failure(Enum):
    """Why no final response came; the value is the status that RFC 3261 8.1.3.1 gives it."""

    TIMEOUT = 408
    TRANSPORT = 503


class ClientTransaction:
    """
    One request that we sent; it goes out when this is made.

    Args:
        on_response: Called with each response that is news: provisional ones, the first final
            one, and for an INVITE every 2xx, repeated or forked.
        on_failure: Called once when no final response came.
        on_terminated: Called once, when the transaction is over and can be forgotten.
        is_resumed: Whether an earlier process has sent it, and heard that it arrived: an INVITE,
            which is waited for until `give_up`.
    """

    def __init__(
        self,
        request: SipRequest,
        flow: Flow,
        timers: TimerQueue,
        send: Callable[[bytes, Flow], None],
        on_response: Callable[[SipResponse, float], None],
        on_failure: Callable[[Failure, float], None],
        on_terminated: Callable[[ClientTransaction], None],
        now: float,
        *,
        is_resumed: bool = False,
    ) -> None:
        self.request = request
        self.flow = flow
        self.is_invite = request.method == "INVITE"
        self.branch = request.top_via.branch
        self.key: TransactionKey = (self.branch, request.method)
        self._table = INVITE_CLIENT if self.is_invite else NON_INVITE_CLIENT
        self.state = _S.CALLING if self.is_invite else _S.TRYING
        self._timers = timers
        self._send = send
        self._on_response = on_response
        self._on_failure = on_failure
        self._on_terminated = on_terminated
        self._bytes = request.serialize()
        self._ack: bytes | None = None
        self._repeater: Repeater | None = None
        self._timer: Timer | None = None
        if is_resumed:
            self.state = _S.PROCEEDING
            return
        if not flow.is_reliable:
            # Timer A doubles without limit, timer E stops at T2.
            longest_s = None if self.is_invite else T2_S
            self._repeater = Repeater(timers, self._repeat, now, longest_s=longest_s)
        self._start(_E.TIMER_B if self.is_invite else _E.TIMER_F, now + TIMEOUT_S)
        send(self._bytes, flow)

    @property
    def is_waiting(self) -> bool:
        """Whether the final response is still to come."""
        return self.state in (_S.CALLING, _S.TRYING, _S.PROCEEDING)

    def receive_response(self, response: SipResponse, now: float) -> None:
        """Take a response whose branch and method are ours."""
        event = response_event(response.status)
        before = self.state
        state = advance(self._table, before, event)
        if state is None:
            return
        if state is _S.COMPLETED and self.is_invite:
            if before is not _S.COMPLETED:
                self._ack = build_failure_ack(self.request, response).serialize()
            if self._ack is not None:
                self._send(self._ack, self.flow)
        if state is not before:
            self._enter(state, now)
        if before is not _S.COMPLETED:
            self._on_response(response, now)

    def give_up(self, now: float) -> None:
        """Stop waiting for a final response, as if timer B or F had fired."""
        if self.is_waiting:
            self._fail(Failure.TIMEOUT, now)

    def receive_transport_error(self, now: float) -> None:
        """The flow is gone. An accepted INVITE stays, since its 2xx may come another way."""
        if advance(self._table, self.state, _E.TRANSPORT_ERROR) is None:
            return
        if self.is_waiting:
            self._fail(Failure.TRANSPORT, now)
        else:
            self._enter(_S.TERMINATED, now)

    def _fail(self, failure: Failure, now: float) -> None:
        self._enter(_S.TERMINATED, now)
        self._on_failure(failure, now)

    def _enter(self, state: TransactionState, now: float) -> None:
        self.state = state
        reliable = self.flow.is_reliable
        if state is _S.PROCEEDING and not self.is_invite:
            # Timer F goes on, and timer E at T2 (17.1.2.2).
            if self._repeater is not None:
                self._repeater.slow_down(now)
            return
        self._stop_timers()
        if state is _S.COMPLETED and self.is_invite:
            self._start(_E.TIMER_D, now if reliable else now + TIMER_D_S)
        elif state is _S.COMPLETED:
            self._start(_E.TIMER_K, now if reliable else now + T4_S)
        elif state is _S.ACCEPTED:
            self._start(_E.TIMER_M, now + TIMEOUT_S)
        elif state is _S.TERMINATED:
            self._on_terminated(self)

    def _stop_timers(self) -> None:
        if self._repeater is not None:
            self._repeater.stop()
            self._repeater = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, event: TransactionEvent, deadline: float) -> None:
        def fire(now: float) -> None:
            state = advance(self._table, self.state, event)
            if state is None:
                return
            if self.is_waiting:
                self._fail(Failure.TIMEOUT, now)
            else:
                self._enter(state, now)

        self._timer = self._timers.schedule(deadline, fire)

    def _repeat(self) -> None:
        self._send(self._bytes, self.flow)


def build_failure_ack(invite: SipRequest, response: SipResponse) -> SipRequest:
    """
    Build the ACK for a 3xx-6xx (RFC 3261 17.1.1.3).

    It is part of the INVITE's transaction: same URI, Via, Route and CSeq number; only To is
    that of the response.
    """
    return _beside(invite, "ACK", response.headers.get("To") or "")


def build_cancel(invite: SipRequest) -> SipRequest:
    """Build the CANCEL of an INVITE: its URI, top Via, To, From, Route and number (9.1)."""
    return _beside(invite, "CANCEL", invite.headers.get("To") or "")


def _beside(invite: SipRequest, method: str, to: str) -> SipRequest:
    headers = Headers()
    headers.add("Via", invite.headers.get("Via") or "")
    headers.add("Max-Forwards", "70")
    for route in invite.headers.get_all("Route"):
        headers.add("Route", route)
    headers.add("From", invite.headers.get("From") or "")
    headers.add("To", to)
    headers.add("Call-ID", invite.call_id)
    headers.add("CSeq", f"{invite.cseq.number} {method}")
    return SipRequest(method, invite.uri, headers)
