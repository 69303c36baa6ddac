"""Server transactions (RFC 3261 17.2, RFC 6026 7.1): one request and its answers.

They repeat the last answer when the request is repeated, repeat a refusal of an INVITE
until its ACK comes, and know when they are over. Which state follows which is in
`transaction`; the 2xx of an INVITE is repeated by its usage, not here.
"""

from __future__ import annotations

from collections.abc import Callable

from voiceblocks.errors import LocalSipError
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.message import SipRequest, SipResponse
from voiceblocks.sip.timers import T4_S, TIMEOUT_S, Repeater, Timer, TimerQueue
from voiceblocks.sip.transaction import (
    INVITE_SERVER,
    NON_INVITE_SERVER,
    TransactionEvent,
    TransactionKey,
    TransactionState,
    advance,
    response_event,
)

_S = TransactionState
_E = TransactionEvent


class ServerTransaction:
    """
    One request that we received.

    Args:
        send: Sends the bytes of a response along the flow it was given.
        on_terminated: Called once, when the transaction is over and can be forgotten.
    """

    def __init__(
        self,
        request: SipRequest,
        flow: Flow,
        key: TransactionKey,
        timers: TimerQueue,
        send: Callable[[bytes, Flow], None],
        on_terminated: Callable[[ServerTransaction], None],
    ) -> None:
        self.request = request
        self.flow = flow
        "Where responses go."
        self.key = key
        self.to_tag: str | None = None
        "Our tag in the responses, as the transaction user chose it."
        self.is_invite = request.method == "INVITE"
        self._table = INVITE_SERVER if self.is_invite else NON_INVITE_SERVER
        self.state = _S.PROCEEDING if self.is_invite else _S.TRYING
        self._timers = timers
        self._send = send
        self._on_terminated = on_terminated
        self._last_response: bytes | None = None
        self._repeater: Repeater | None = None
        self._timer: Timer | None = None

    @property
    def is_answered(self) -> bool:
        """Whether a final response was sent (or can no longer be sent)."""
        return self.state not in (_S.PROCEEDING, _S.TRYING)

    def respond(self, response: SipResponse, now: float) -> None:
        """
        Send a response, and remember it for repeats of the request.

        Raises:
            LocalSipError: If a final response was already sent.
        """
        event = response_event(response.status)
        if self.is_answered or advance(self._table, self.state, event) is None:
            raise LocalSipError(f"{response.status} after the final response")
        self._last_response = response.serialize()
        self._advance(event, now)
        self._send(self._last_response, self.flow)

    def receive_again(self, now: float) -> None:
        """The same request came once more: answer as before, if there was an answer."""
        if self._advance(_E.REQUEST, now) and self._last_response is not None:
            self._send(self._last_response, self.flow)

    def receive_ack(self, now: float) -> None:
        """The ACK came: for a refusal it ends the repeats; for a 2xx the usage sees it too."""
        self._advance(_E.ACK, now)

    def receive_transport_error(self, now: float) -> None:
        """The flow is gone; nothing more can be said on it."""
        self._advance(_E.TRANSPORT_ERROR, now)

    def _advance(self, event: TransactionEvent, now: float) -> bool:
        state = advance(self._table, self.state, event)
        if state is None:
            return False
        if state is not self.state:
            self.state = state
            self._enter(state, now)
        return True

    def _enter(self, state: TransactionState, now: float) -> None:
        if self._repeater is not None:
            self._repeater.stop()
            self._repeater = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        reliable = self.flow.is_reliable
        if state is _S.COMPLETED and self.is_invite:
            if not reliable:
                self._repeater = Repeater(self._timers, self._repeat, now)
            self._start(_E.TIMER_H, now + TIMEOUT_S)
        elif state is _S.COMPLETED:
            self._start(_E.TIMER_J, now if reliable else now + TIMEOUT_S)
        elif state is _S.CONFIRMED:
            self._start(_E.TIMER_I, now if reliable else now + T4_S)
        elif state is _S.ACCEPTED:
            self._start(_E.TIMER_L, now + TIMEOUT_S)
        elif state is _S.TERMINATED:
            self._on_terminated(self)

    def _start(self, event: TransactionEvent, deadline: float) -> None:
        def fire(now: float) -> None:
            self._advance(event, now)

        self._timer = self._timers.schedule(deadline, fire)

    def _repeat(self) -> None:
        if self._last_response is not None:
            self._send(self._last_response, self.flow)
