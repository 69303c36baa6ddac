"""What the SIP core says of a leg's end, in the words of the domain, which does not know SIP."""

from __future__ import annotations

from typing import Final

from voiceblocks.calls.cause import CallEndCause
from voiceblocks.sip.events import CallFailed, EndCause, LegCancelled, LegEnded

_CAUSES: Final = {
    EndCause.PEER_HUNG_UP: CallEndCause.FAR_HUNG_UP,
    # Whoever had us hang up has said why before.
    EndCause.HUNG_UP: CallEndCause.APPLICATION,
    EndCause.NO_ACK: CallEndCause.NO_ACK,
    EndCause.NO_PRACK: CallEndCause.NO_ACK,
    EndCause.SESSION_EXPIRED: CallEndCause.SESSION_EXPIRED,
    EndCause.PEER_GONE: CallEndCause.FAR_GONE,
    EndCause.TRANSPORT_LOST: CallEndCause.TRANSPORT_LOST,
}

_WITHOUT_ANSWER: Final = {
    408: CallEndCause.FAR_GONE,
    488: CallEndCause.NO_COMMON_AUDIO,
}
"Of an INVITE that nobody refused: who gave it up says why by a status of its own."


def cause_of_failure(failed: CallFailed) -> tuple[CallEndCause, int | None]:
    """The cause of an unanswered call's end, with the far end's status where it sent one."""
    if failed.response is not None:
        return CallEndCause.REFUSED, failed.status
    if failed.leg == 0:
        return CallEndCause.NO_MEDIA, None
    return _WITHOUT_ANSWER.get(failed.status, CallEndCause.TRANSPORT_LOST), None


def cause_of(event: LegCancelled | LegEnded) -> CallEndCause:
    """The cause of a leg's end that the far end, or the network, brought about."""
    return CallEndCause.FAR_CANCELLED if isinstance(event, LegCancelled) else _CAUSES[event.cause]
