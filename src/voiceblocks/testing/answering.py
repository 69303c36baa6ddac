"""What a phone does with a call that comes in: values that a test hands to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from voiceblocks.testing.phone_call import PhoneCall

RING_PERIOD_S = 4.0
"One ring of a telephone, from its beginning to that of the next."


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyMedia:
    """Audio before the answer: 183 with SDP, then `plays`."""

    plays: NDArray[np.int16]
    "8 kHz samples, sent from the 183 on; the call is answered or refused when they have ended."


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    Pick up.

    Without anything else at once: 180 and 200 follow the INVITE immediately.
    """

    rings: float = 0.0
    "How many rings of four seconds each it takes; parts of a ring are fine."
    ringing: bool = True
    "Whether 180 is sent at all."
    early_media: EarlyMedia | None = None
    "Played before the 200."
    then: Callable[[PhoneCall], Awaitable[None]] | None = None
    "Runs when the call is up: `async def`, with the call. The call ends with the script's own way."


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """
    Refuse with a final status.

    The usual ones have names: `BUSY`, `DECLINED`, `NOT_FOUND`, `UNAVAILABLE`, `OVERLOADED`.
    """

    status: int
    reason: str | None = None
    rings: float = 0.0
    "Rings before it, of four seconds each. 0: no 180 is sent."
    early_media: EarlyMedia | None = None
    "An announcement before it."
    headers: tuple[tuple[str, str], ...] = ()
    "More header lines, such as Retry-After."


@dataclass(frozen=True, slots=True)
class RingForever:
    """180, and nobody picks up; CANCEL is answered with 487."""


@dataclass(frozen=True, slots=True)
class AnswerAtCancel:
    """180; in the moment that the CANCEL comes somebody picks up, so that 200 crosses it."""


@dataclass(frozen=True, slots=True)
class TryForever:
    """100 and nothing more; CANCEL is answered with 487."""


@dataclass(frozen=True, slots=True)
class Dead:
    """Nobody is there: INVITEs vanish without any answer."""


@dataclass(frozen=True, slots=True)
class ByHand:
    """Nothing by itself: the test calls `ring`, `early_media`, `answer` or `refuse`."""


Behaviour = Answer | Refuse | RingForever | AnswerAtCancel | TryForever | Dead | ByHand

BUSY = Refuse(status=486)
DECLINED = Refuse(status=603)
NOT_FOUND = Refuse(status=404)
UNAVAILABLE = Refuse(status=480)
OVERLOADED = Refuse(status=503)


def moved_to(*contacts: str) -> Refuse:
    """302 with these URIs, such as `sip:+6590000001@127.0.0.1:5062`."""
    headers = tuple(("Contact", f"<{uri}>") for uri in contacts)
    return Refuse(status=302, headers=headers)
