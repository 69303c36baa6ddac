"""What the SIP core tells its owner, oldest first, through `UserAgent.next_event`.

The last event of a leg is exactly one of `LegEnded`, `LegCancelled` and `CallFailed`; a
leg that we refused has none. After it the handle is unknown and commands raise
`LocalSipError`, so a command that crosses a hang-up fails in that one way.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voiceblocks.sip.flow import Flow
from voiceblocks.sip.message import SipRequest, SipResponse


class EndCause(StrEnum):
    """Why a leg that was not refused, cancelled or failed has ended."""

    PEER_HUNG_UP = "peer_hung_up"
    "Their BYE came and is answered."
    HUNG_UP = "hung_up"
    "We hung up, and the peer knows or cannot be reached."
    NO_ACK = "no_ack"
    "Our 200 was repeated for 64*T1 and never acknowledged; a BYE was sent."
    NO_PRACK = "no_prack"
    "A reliable provisional response was never acknowledged; the INVITE got 500."
    SESSION_EXPIRED = "session_expired"
    "The session timer ran out (RFC 4028); a BYE was sent."
    PEER_GONE = "peer_gone"
    "A request of ours inside the dialog met 481, 408 or silence."
    TRANSPORT_LOST = "transport_lost"
    "The connection was lost and cannot be replaced."


@dataclass(frozen=True, slots=True)
class InviteReceived:
    """A call wants to come in; 100 was sent. Next: `ring`, `answer` or `refuse`."""

    leg: int
    request: SipRequest
    offer: bytes | None
    "SDP, also when it lay in a multipart body; `None`: we make the offer with `answer`."
    flow: Flow


@dataclass(frozen=True, slots=True)
class LegCancelled:
    """The caller gave up before the final answer; 200 and 487 were sent."""

    leg: int


@dataclass(frozen=True, slots=True)
class AnswerSent:
    """The 200 that had waited for a PRACK has left (`UserAgent.answer` said that it waits)."""

    leg: int


@dataclass(frozen=True, slots=True)
class LegConfirmed:
    """The ACK for our 200 came."""

    leg: int
    answer: bytes | None
    "SDP of the ACK, where the offer was ours."


@dataclass(frozen=True, slots=True)
class InviteSentAgain:
    """Our INVITE left once more, as the peer had asked (401, 407, 422): another transaction."""

    leg: int


@dataclass(frozen=True, slots=True)
class Progress:
    """A provisional response above 100 to our INVITE."""

    leg: int
    status: int
    sdp: bytes | None


@dataclass(frozen=True, slots=True)
class Answered:
    """Our INVITE was accepted; the ACK was sent, unless we still owe the answer."""

    leg: int
    answer: bytes | None
    "Their SDP. Where our INVITE had none it is an offer: reply with `answer_offer`."
    response: SipResponse


@dataclass(frozen=True, slots=True)
class CallFailed:
    """Our INVITE came to nothing: refused, cancelled (487), timed out (408) or lost (503)."""

    leg: int
    status: int
    reason: str
    response: SipResponse | None
    "`None` where no answer came at all."
    contacts: tuple[str, ...] = ()
    "URIs of a 3xx, in its order; never followed here."


@dataclass(frozen=True, slots=True)
class OfferReceived:
    """
    The peer renegotiates; reply with `answer_offer`.

    Without an offer (a re-INVITE that holds none) the reply is our offer, and the SDP of the
    ACK comes as `OfferAnswered`.
    """

    leg: int
    offer: bytes | None
    method: str
    '`"INVITE"` or `"UPDATE"`.'


@dataclass(frozen=True, slots=True)
class OfferWithdrawn:
    """The peer cancelled the renegotiation that `OfferReceived` told of; do not reply."""

    leg: int


@dataclass(frozen=True, slots=True)
class OfferAnswered:
    """The peer's answer to an offer of ours inside the dialog."""

    leg: int
    answer: bytes | None


@dataclass(frozen=True, slots=True)
class OfferRefused:
    """Our `reoffer` was refused; the session goes on as it was."""

    leg: int
    status: int


@dataclass(frozen=True, slots=True)
class InfoReceived:
    """An INFO inside the dialog; 200 was sent."""

    leg: int
    content_type: str
    "In lower case, without parameters; empty where missing."
    body: bytes


@dataclass(frozen=True, slots=True)
class ProbeAnswered:
    """The result of `probe`. Not alive is followed by `LegEnded`."""

    leg: int
    alive: bool


@dataclass(frozen=True, slots=True)
class OptionsAnswered:
    """The result of `options`."""

    id: int
    status: int
    "408 for silence, 503 for a lost connection."


@dataclass(frozen=True, slots=True)
class StrayAnswer:
    """A 2xx to an INVITE that nobody remembers; reply with `FormerDialogs.refuse_answer`."""

    response: SipResponse
    flow: Flow


@dataclass(frozen=True, slots=True)
class LegEnded:
    """The leg is over, and whatever had to be sent for that was sent."""

    leg: int
    cause: EndCause


@dataclass(frozen=True, slots=True)
class RegistrationSucceeded:
    """A registrar knows us; told again after each refresh."""

    id: int
    expires_s: int
    "Granted; the refresh comes before by itself."


@dataclass(frozen=True, slots=True)
class RegistrationFailed:
    """All addresses of a registrar refused us or were silent; tried again by itself."""

    id: int
    status: int
    "408 for silence, 503 for a lost connection."
    reason: str
    retry_in_s: float


@dataclass(frozen=True, slots=True)
class RegistrationEnded:
    """The last event after `unregister`: the registrar was told, or cannot be."""

    id: int


RegistrationEvent = RegistrationSucceeded | RegistrationFailed | RegistrationEnded

Event = (
    InviteReceived
    | LegCancelled
    | AnswerSent
    | LegConfirmed
    | InviteSentAgain
    | Progress
    | Answered
    | CallFailed
    | OfferReceived
    | OfferWithdrawn
    | OfferAnswered
    | OfferRefused
    | InfoReceived
    | ProbeAnswered
    | OptionsAnswered
    | RegistrationEvent
    | StrayAnswer
    | LegEnded
)
