"""Why a call ended, in one sentence for people who do not know SIP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import Disposition, EndReason

_UNANSWERED: Final = {
    Disposition.BUSY: "It was never answered: the far end was busy{sip}.",
    Disposition.NO_ANSWER: "It was never answered: nobody picked up in time{sip}.",
    Disposition.REJECTED: "It was never answered: the far end refused it{sip}.",
    Disposition.CANCELLED: "It was never answered: whoever called gave up while it rang.",
    Disposition.FAILED: "It was never answered: it could not be connected{sip}.",
}

_INCOMING_UNANSWERED: Final = {
    Disposition.NO_ANSWER: (
        "It was never answered: the application sent no block in time. Look whether its "
        "notification of the call arrived."
    ),
    Disposition.REJECTED: "It was never answered: the application hung up while it rang.",
    Disposition.CANCELLED: "It was never answered: the caller gave up while it rang.",
}

_APPLICATION_LET_IT_END: Final = (
    "The application let the call end after {block}: it named no notify_url, so no block could "
    "follow."
)

_BY_CAUSE: Final = {
    CallEndCause.FAR_HUNG_UP: "{Who} hung up{when}.",
    CallEndCause.FAR_CANCELLED: "{Who} gave up before the call was answered.",
    CallEndCause.OTHER_HUNG_UP: "Whoever it was connected with hung up.",
    CallEndCause.OTHER_LOST: "The leg of whoever it was connected with was lost.",
    CallEndCause.APPLICATION: "The application hung up{when}.",
    CallEndCause.FORCED: "The application forced a hang-up{when}.",
    CallEndCause.REMOVED: "The participant was put out of the conference room.",
    CallEndCause.NO_BLOCK: "The application sent no block{when} within the idle time.",
    CallEndCause.MAX_DURATION: "The longest time that was set for the call was over.",
    CallEndCause.MAX_CALL: (
        "It had lasted as long as this server lets any call last (VOICEBLOCKS_MAX_CALL_S)."
    ),
    CallEndCause.CREDIT_USED_UP: "The account's credit was used up{when}.",
    CallEndCause.REFUSED: "The far end refused it{sip}.",
    CallEndCause.NOBODY_PICKED_UP: "Nobody picked up within the time that it was to ring.",
    CallEndCause.NO_TRUNK: (
        "No trunk could be asked to carry it: look at `voiceblocks trunk list` and at the log."
    ),
    CallEndCause.NOT_CONNECTED: "Whoever it was to be connected with was not reached.",
    CallEndCause.NO_ACK: (
        "{Who} never confirmed that the call was answered (no ACK): look for a firewall, or a "
        "wrong VOICEBLOCKS_SIP_PUBLIC_ADDRESS."
    ),
    CallEndCause.FAR_GONE: "{Who} did not answer SIP any more{when}.",
    CallEndCause.SESSION_EXPIRED: "{Who} was taken for dead: the SIP session timer ran out{when}.",
    CallEndCause.TRANSPORT_LOST: "The connection that carried its SIP was lost{when}.",
    CallEndCause.NO_COMMON_AUDIO: (
        "{Who} sent no SDP that can be used: this server speaks PCMU and PCMA over RTP."
    ),
    CallEndCause.NO_MEDIA: (
        "No media worker had room for it: look at the console's page Health, and at "
        "VOICEBLOCKS_CALLS_PER_WORKER."
    ),
    CallEndCause.MEDIA_LOST: "The media worker that carried its audio died{when}.",
    CallEndCause.NODE_FULL: "This server was full or stopping, so nobody was called.",
    CallEndCause.SERVER_STOPPED: "This server was stopped{when}.",
    CallEndCause.SERVER_DIED: "This server's process died{when}, and its restart ended the call.",
    CallEndCause.FAULT: "A fault in this server ended it{when}: look for its session in the log.",
}

_NEVER_ANSWERED: Final = "It was never answered: "
_SAID_BY_DISPOSITION: Final = frozenset(
    {
        CallEndCause.FAR_CANCELLED,
        CallEndCause.NO_BLOCK,
        CallEndCause.APPLICATION,
        CallEndCause.FORCED,
        CallEndCause.REFUSED,
    }
)
"Of an unanswered call, what its disposition says better."

_NOT_TOLD: Final = (
    "The application did not take the notification of {block}, so it never sent a next block, "
    "and the idle time ran out."
)

# For calls whose cause nobody noted: those of earlier versions, and of a crash at their end.
_DURING: Final = {
    EndReason.HANGUP: "The other side hung up during {block}.",
    EndReason.FORCED: "The application forced a hang-up during {block}.",
    EndReason.SERVER_RESTART: "This server was stopped or restarted during {block}.",
    EndReason.MAX_DURATION: "The longest time that was set for the call was over.",
}
_LAST_BLOCK: Final = {
    "hangup": "The application hung up.",
    "transfer": "It was transferred, and that conversation came to its end.",
    "call": "One of the two hung up.",
    "conference": "The participant left the conference, or was removed.",
}
_BETWEEN: Final = (
    "After {block}, either the other side hung up or the application sent no next block within "
    "the idle time."
)


@dataclass(frozen=True, slots=True)
class LastBlock:
    """The last block of a call that is over."""

    block: str
    reason: EndReason | None
    "`None` where its end was never noted."
    ended_with_it: bool
    "Whether the call ended at the same moment."
    was_told: bool
    "Whether the application took its notification, or there was none."
    is_last: bool = False
    "Whether no block could follow, since it named no notify_url."


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a call ended."""

    disposition: Disposition
    incoming: bool
    "Whether somebody called us."
    cause: CallEndCause | None = None
    "`None` where nobody noted it."
    sip_status: int | None = None
    last: LastBlock | None = None
    "Its last block; `None` where there was none."


def why_it_ended(end: CallEnd | None) -> str:
    """Say it; of a call that is up (`None`), that."""
    if end is None:
        return "It is still going on."
    if end.disposition is not Disposition.ANSWERED:
        return _why_unanswered(end)
    return _guessed(end.last) if end.cause is None else _why_answered(end, end.cause)


def _why_unanswered(end: CallEnd) -> str:
    if end.cause is not None and end.cause not in _SAID_BY_DISPOSITION:
        sentence = _filled(_BY_CAUSE[end.cause], end)
        return _NEVER_ANSWERED + sentence[0].lower() + sentence[1:]
    by_disposition = (_INCOMING_UNANSWERED if end.incoming else {}).get(end.disposition)
    return _filled(by_disposition or _UNANSWERED[end.disposition], end)


def _why_answered(end: CallEnd, cause: CallEndCause) -> str:
    last = end.last
    if last is not None and cause is CallEndCause.NO_BLOCK and not last.was_told:
        return _filled(_NOT_TOLD, end)
    if last is not None and cause is CallEndCause.APPLICATION:
        if last.block == "hangup":
            return "The application hung up."
        if last.is_last:
            return _filled(_APPLICATION_LET_IT_END, end)
    return _filled(_BY_CAUSE[cause], end)


def _filled(sentence: str, end: CallEnd) -> str:
    last = end.last
    when = ""
    if last is not None:
        when = f" {'during' if last.ended_with_it else 'after'} {last.block}"
    return sentence.format_map(
        {
            "Who": "The caller" if end.incoming else "The far end",
            "when": when,
            "block": "" if last is None else last.block,
            "sip": "" if end.sip_status is None else f" (SIP {end.sip_status})",
        }
    )


def _guessed(last: LastBlock | None) -> str:
    if last is None:
        return "The other side hung up before the first block."
    named = {"block": last.block}
    if last.reason in _DURING and (last.ended_with_it or last.reason is not EndReason.MAX_DURATION):
        return _DURING[last.reason].format_map(named)
    if last.block in _LAST_BLOCK:
        return _LAST_BLOCK[last.block]
    return (_BETWEEN if last.was_told else _NOT_TOLD).format_map(named)
