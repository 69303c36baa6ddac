"""One leg: the use of a dialog for a call (RFC 3261 sections 13 to 15), as a table.

    LEG[state][event] -> next state

Local events (ANSWER, REFUSE, HANG_UP) that are missing in a row raise `LocalSipError` and
change nothing; the peer's are absorbed. ANSWERED means that our 200 waits for its ACK;
ENDING that a BYE is due or under way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from voiceblocks.errors import LocalSipError
from voiceblocks.sip.client_transaction import ClientTransaction
from voiceblocks.sip.dialog import Dialog
from voiceblocks.sip.digest import DigestClient
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.message import SipRequest
from voiceblocks.sip.reliability import ReliableReceiver, ReliableSender
from voiceblocks.sip.server_transaction import ServerTransaction
from voiceblocks.sip.session_timer import SessionAgreement
from voiceblocks.sip.timers import TIMEOUT_S, Repeater, Timer, TimerQueue


class LegState(Enum):
    """Where a leg is."""

    INCOMING = "incoming"
    ANSWERED = "answered"
    CALLING = "calling"
    PROCEEDING = "proceeding"
    CANCELLING = "cancelling"
    CONFIRMED = "confirmed"
    ENDING = "ending"
    ENDED = "ended"


class LegEvent(Enum):
    """What can happen to a leg."""

    ANSWER = "answer"
    REFUSE = "refuse"
    HANG_UP = "hang_up"
    CANCELLED = "cancelled"
    ACKNOWLEDGED = "acknowledged"
    PROVISIONAL = "provisional"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    PEER_HUNG_UP = "peer_hung_up"
    LOST = "lost"
    "No ACK, no PRACK, session expired, peer or transport gone, or our BYE is done."


LOCAL_EVENTS = frozenset({LegEvent.ANSWER, LegEvent.REFUSE, LegEvent.HANG_UP})

_S = LegState
_E = LegEvent

LEG: Mapping[LegState, Mapping[LegEvent, LegState]] = {
    _S.INCOMING: {
        _E.ANSWER: _S.ANSWERED,
        _E.REFUSE: _S.ENDED,
        _E.HANG_UP: _S.ENDED,
        _E.CANCELLED: _S.ENDED,
        _E.PEER_HUNG_UP: _S.ENDED,
        _E.LOST: _S.ENDED,
    },
    _S.ANSWERED: {
        _E.ACKNOWLEDGED: _S.CONFIRMED,
        _E.HANG_UP: _S.ENDING,
        _E.PEER_HUNG_UP: _S.ENDED,
        _E.LOST: _S.ENDED,
    },
    _S.CALLING: {
        _E.PROVISIONAL: _S.PROCEEDING,
        _E.ACCEPTED: _S.CONFIRMED,
        _E.REJECTED: _S.ENDED,
        _E.HANG_UP: _S.CANCELLING,
        _E.LOST: _S.ENDED,
    },
    _S.PROCEEDING: {
        _E.PROVISIONAL: _S.PROCEEDING,
        _E.ACCEPTED: _S.CONFIRMED,
        _E.REJECTED: _S.ENDED,
        _E.HANG_UP: _S.CANCELLING,
        _E.LOST: _S.ENDED,
    },
    # The peer may have accepted before our CANCEL came: then it is ACK and BYE (9.1).
    _S.CANCELLING: {
        _E.PROVISIONAL: _S.CANCELLING,
        _E.ACCEPTED: _S.ENDING,
        _E.REJECTED: _S.ENDED,
        _E.HANG_UP: _S.CANCELLING,
        _E.LOST: _S.ENDED,
    },
    _S.CONFIRMED: {
        _E.ACKNOWLEDGED: _S.CONFIRMED,
        _E.ACCEPTED: _S.CONFIRMED,
        _E.HANG_UP: _S.ENDING,
        _E.PEER_HUNG_UP: _S.ENDED,
        _E.LOST: _S.ENDED,
    },
    # Both may hang up at once; the peer's BYE is answered, and ours ends by its own response.
    _S.ENDING: {
        _E.ACKNOWLEDGED: _S.ENDING,
        _E.ACCEPTED: _S.ENDING,
        _E.HANG_UP: _S.ENDING,
        _E.PEER_HUNG_UP: _S.ENDED,
        _E.LOST: _S.ENDED,
    },
    _S.ENDED: {},
}


class AcceptedInvite:
    """
    A 2xx of ours that is repeated until its ACK comes, on every transport (13.3.1.4).

    Args:
        send: Sends the 2xx once more.
        never_acknowledged: Called after 64*T1 without `stop`.
    """

    def __init__(
        self,
        timers: TimerQueue,
        now: float,
        *,
        sequence: int,
        we_offered: bool,
        send: Callable[[], None],
        never_acknowledged: Callable[[float], None],
    ) -> None:
        self.sequence = sequence
        "CSeq number that the ACK must carry."
        self.we_offered = we_offered
        "Whether the ACK holds the answer to an offer in the 2xx."
        self._repeater = Repeater(timers, send, now)
        self._timer = timers.schedule(now + TIMEOUT_S, never_acknowledged)

    def stop(self) -> None:
        """The ACK came, or nobody waits for it any more."""
        self._repeater.stop()
        self._timer.cancel()


@dataclass(slots=True)
class Leg:
    """Everything about one leg; changed only by the modules of the user agent."""

    handle: int
    state: LegState
    flow: Flow
    "The way that the peer used last."
    invite: SipRequest
    "The INVITE that began it."
    dialog: Dialog | None = None
    timers: dict[str, Timer] = field(default_factory=dict)
    'Pending timers by purpose, such as `"ring"`.'

    # As the called side
    server: ServerTransaction | None = None
    offer_was_sent: bool = False
    "Whether the peer's INVITE held an offer."
    accepted: AcceptedInvite | None = None
    hang_up_after_ack: bool = False
    reliable: ReliableSender | None = None
    "Set when the peer requires reliable provisional responses."
    deferred_answer: bytes | None = None
    "SDP of a 200 that waits for a PRACK."
    deferred_ring: tuple[bytes | None] | None = None
    "SDP (or none) of a provisional response that waits for the PRACK of the one before."

    # As the calling side
    client: ClientTransaction | None = None
    digest: DigestClient | None = None
    "Answers challenges, if we have a password."
    attempts: int = 0
    "How often the INVITE was sent anew (401, 407, 422)."
    cancel_sent: bool = False
    early: dict[str, Dialog] = field(default_factory=dict)
    "Dialogs that provisional responses made, by the peer's tag."
    rseqs: ReliableReceiver = field(default_factory=ReliableReceiver)
    acks: dict[tuple[str, int], tuple[bytes, Flow]] = field(default_factory=dict)
    "Our ACKs by peer's tag and CSeq number, for repeated 2xx."
    answer_owed: tuple[str, int] | None = None
    "Tag and number of a 2xx with an offer that our ACK must answer."

    # The session inside the dialog
    local_sdp: bytes | None = None
    remote_sdp: bytes | None = None
    session: SessionAgreement | None = None
    session_min_se_s: int = 0
    "Min-SE that a 422 of the peer taught us."
    peer_offer: ServerTransaction | None = None
    "A re-INVITE or UPDATE that waits for `answer_offer`."
    our_offer: bool = False
    "Whether a re-INVITE of ours is under way."
    offer_retries: int = 0
    wanted_offer: bytes | None = None
    "SDP that waits until the way is free."

    @property
    def is_ended(self) -> bool:
        """Whether it is over."""
        return self.state is LegState.ENDED

    def require_dialog(self) -> Dialog:
        """
        The dialog.

        Raises:
            LocalSipError: If there is none yet.
        """
        if self.dialog is None:
            raise LocalSipError(f"leg {self.handle} has no dialog yet")
        return self.dialog

    def dialog_of(self, request: SipRequest) -> Dialog:
        """The dialog, early or not, that a request of the peer belongs to."""
        return self.early.get(request.from_tag or "") or self.require_dialog()

    def advance(self, event: LegEvent) -> bool:
        """
        Step to the next state.

        Returns:
            `False` where the event is absorbed.

        Raises:
            LocalSipError: Where a command of ours is not allowed.
        """
        state = LEG[self.state].get(event)
        if state is None:
            if event in LOCAL_EVENTS:
                raise LocalSipError(f"{event.value} while the leg is {self.state.value}")
            return False
        self.state = state
        return True

    def stop_timers(self) -> None:
        """Cancel everything that would still happen by itself."""
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()
        if self.accepted is not None:
            self.accepted.stop()
            self.accepted = None
        if self.reliable is not None:
            self.reliable.stop()
