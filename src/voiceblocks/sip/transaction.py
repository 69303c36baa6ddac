"""The four transaction state machines of RFC 3261 section 17 with RFC 6026, as tables.

A cell that is missing means: absorbed without a change, as the RFC asks of everything
that comes late. What happens on entering a state (timers, sending) lives in
`server_transaction` and `client_transaction`; what may follow what lives only here.

    table[state][event] -> next state
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from voiceblocks.sip.message import SipRequest, SipResponse
from voiceblocks.sip.via import BRANCH_COOKIE


class TransactionState(Enum):
    """States of all four machines; each uses some."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


class TransactionEvent(Enum):
    """What can happen to a transaction. SUCCESS is 2xx, FAILURE 3xx-6xx."""

    REQUEST = "request"
    ACK = "ack"
    PROVISIONAL = "provisional"
    SUCCESS = "success"
    FAILURE = "failure"
    TIMER_B = "timer_b"
    TIMER_D = "timer_d"
    TIMER_F = "timer_f"
    TIMER_H = "timer_h"
    TIMER_I = "timer_i"
    TIMER_J = "timer_j"
    TIMER_K = "timer_k"
    TIMER_L = "timer_l"
    TIMER_M = "timer_m"
    TRANSPORT_ERROR = "transport_error"


Table = Mapping[TransactionState, Mapping[TransactionEvent, TransactionState]]

_S = TransactionState
_E = TransactionEvent

INVITE_SERVER: Table = {
    _S.PROCEEDING: {
        _E.REQUEST: _S.PROCEEDING,
        _E.PROVISIONAL: _S.PROCEEDING,
        _E.SUCCESS: _S.ACCEPTED,
        _E.FAILURE: _S.COMPLETED,
        _E.TRANSPORT_ERROR: _S.TERMINATED,
    },
    _S.COMPLETED: {
        _E.REQUEST: _S.COMPLETED,
        _E.ACK: _S.CONFIRMED,
        _E.TIMER_H: _S.TERMINATED,
        _E.TRANSPORT_ERROR: _S.TERMINATED,
    },
    _S.CONFIRMED: {
        _E.TIMER_I: _S.TERMINATED,
        _E.TRANSPORT_ERROR: _S.TERMINATED,
    },
    # The 2xx is repeated by the invite usage, which alone knows whether the ACK came; the
    # transaction stays so that a repeated INVITE does not look like a new call (RFC 6026 7.1).
    _S.ACCEPTED: {
        _E.ACK: _S.ACCEPTED,
        _E.SUCCESS: _S.ACCEPTED,
        _E.TIMER_L: _S.TERMINATED,
    },
    _S.TERMINATED: {},
}
"RFC 6026 figure 5 (section 7.1)."

NON_INVITE_SERVER: Table = {
    _S.TRYING: {
        _E.PROVISIONAL: _S.PROCEEDING,
        _E.SUCCESS: _S.COMPLETED,
        _E.FAILURE: _S.COMPLETED,
        _E.TRANSPORT_ERROR: _S.TERMINATED,
    },
    _S.PROCEEDING: {
        _E.REQUEST: _S.PROCEEDING,
        _E.PROVISIONAL: _S.PROCEEDING,
        _E.SUCCESS: _S.COMPLETED,
        _E.FAILURE: _S.COMPLETED,
        _E.TRANSPORT_ERROR: _S.TERMINATED,
    },
    _S.COMPLETED: {
        _E.REQUEST: _S.COMPLETED,
        _E.TIMER_J: _S.TERMINATED,
        _E.TRANSPORT_ERROR: _S.TERMINATED,
    },
    _S.TERMINATED: {},
}
"RFC 3261 figure 8 (section 17.2.2)."

INVITE_CLIENT: Table = {
    _S.CALLING: {
        _E.PROVISIONAL: _S.PROCEEDING,
        _E.SUCCESS: _S.ACCEPTED,
        _E.FAILURE: _S.COMPLETED,
        _E.TIMER_B: _S.TERMINATED,
        _E.TRANSPORT_ERROR: _S.TERMINATED,
    },
    # Timer B is left behind on purpose: a phone may ring for longer than 32 s.
    _S.PROCEEDING: {
        _E.PROVISIONAL: _S.PROCEEDING,
        _E.SUCCESS: _S.ACCEPTED,
        _E.FAILURE: _S.COMPLETED,
        _E.TRANSPORT_ERROR: _S.TERMINATED,
    },
    _S.COMPLETED: {
        _E.FAILURE: _S.COMPLETED,
        _E.TIMER_D: _S.TERMINATED,
        _E.TRANSPORT_ERROR: _S.TERMINATED,
    },
    _S.ACCEPTED: {
        _E.SUCCESS: _S.ACCEPTED,
        _E.TIMER_M: _S.TERMINATED,
    },
    _S.TERMINATED: {},
}
"RFC 6026 figure 4 (section 7.2)."

NON_INVITE_CLIENT: Table = {
    _S.TRYING: {
        _E.PROVISIONAL: _S.PROCEEDING,
        _E.SUCCESS: _S.COMPLETED,
        _E.FAILURE: _S.COMPLETED,
        _E.TIMER_F: _S.TERMINATED,
        _E.TRANSPORT_ERROR: _S.TERMINATED,
    },
    _S.PROCEEDING: {
        _E.PROVISIONAL: _S.PROCEEDING,
        _E.SUCCESS: _S.COMPLETED,
        _E.FAILURE: _S.COMPLETED,
        _E.TIMER_F: _S.TERMINATED,
        _E.TRANSPORT_ERROR: _S.TERMINATED,
    },
    _S.COMPLETED: {
        _E.TIMER_K: _S.TERMINATED,
    },
    _S.TERMINATED: {},
}
"RFC 3261 figure 6 (section 17.1.2)."


def advance(
    table: Table, state: TransactionState, event: TransactionEvent
) -> TransactionState | None:
    """Return the next state, or `None` where the event is absorbed."""
    return table[state].get(event)


def response_event(status: int) -> TransactionEvent:
    """Which event a response with this status is."""
    if status < 200:
        return TransactionEvent.PROVISIONAL
    return TransactionEvent.SUCCESS if status < 300 else TransactionEvent.FAILURE


TransactionKey = tuple[str, ...]


def server_key(request: SipRequest, method: str | None = None) -> TransactionKey:
    """
    What a request shares with its retransmissions, its ACK and its CANCEL (RFC 3261 17.2.3).

    Args:
        request: As received.
        method: Look for the transaction of this method instead (INVITE, for a CANCEL).

    Raises:
        RemoteSipError: If Via, CSeq or From cannot be read.
    """
    via = request.top_via
    method = method or ("INVITE" if request.method == "ACK" else request.method)
    branch = via.branch
    # The cookie is compared without case, since some stacks write it so (RFC 3261 7.3.1).
    if branch[:7].lower() == BRANCH_COOKIE.lower() and len(branch) > len(BRANCH_COOKIE):
        return (branch, via.host.lower(), str(via.port), method)
    # RFC 2543 peers: the tag of To is left out, since the ACK carries ours.
    return (
        "2543",
        request.call_id,
        request.from_tag or "",
        str(request.cseq.number),
        branch,
        via.host.lower(),
        str(via.port),
        method,
    )


def merge_key(request: SipRequest) -> TransactionKey:
    """What two copies of one request that came by different ways share (RFC 3261 8.2.2.2)."""
    return (request.call_id, request.from_tag or "", str(request.cseq.number), request.method)


def client_key(response: SipResponse) -> TransactionKey:
    """
    Which of our transactions a response belongs to (RFC 3261 17.1.3).

    Raises:
        RemoteSipError: If Via or CSeq cannot be read.
    """
    return (response.top_via.branch, response.cseq.method)
