"""An INVITE without final answer, ours or theirs, as text that outlives its process.

Of ours it holds what a CANCEL must repeat (RFC 3261 9.1), and the early dialogs that are known;
of theirs what a final response must repeat (8.2.6.2), and what makes the dialog, should a 200 of
ours have left that nobody noted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from voiceblocks.errors import ContractViolation, RemoteSipError
from voiceblocks.sip.dialog import Dialog
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.invite_usage import Leg, LegState
from voiceblocks.sip.message import SipRequest

_VERSION = 1
_KEPT = ("Via", "Route", "Record-Route", "From", "To", "Call-ID", "CSeq", "Contact")
UNANSWERED = frozenset(
    {LegState.INCOMING, LegState.CALLING, LegState.PROCEEDING, LegState.CANCELLING}
)
"States of a leg whose INVITE has no final answer."

MAX_EARLY = 4
"Early dialogs that are kept of a call of ours; further forks end with the CANCEL as well."


@dataclass(frozen=True, slots=True)
class UnansweredInvite:
    """What is left of it."""

    invite: SipRequest
    "Without its body, and without the headers that nobody needs any more."
    is_ours: bool
    to_tag: str = ""
    "Our tag in the responses to theirs."
    early: tuple[Dialog, ...] = ()
    "Of ours, the dialogs that provisional responses had made."


def write_unanswered(leg: Leg) -> str:
    """Return the text of a leg that has no final answer yet."""
    is_ours = leg.state is not LegState.INCOMING
    to_tag = "" if is_ours or leg.dialog is None else leg.dialog.local_tag
    return json.dumps(
        {
            "unanswered": _VERSION,
            "ours": is_ours,
            "uri": leg.invite.uri,
            "headers": [line for name in _KEPT for line in leg.invite.headers.lines(name)],
            "to_tag": to_tag,
            "early": [each.snapshot(leg.flow) for each in list(leg.early.values())[:MAX_EARLY]],
        },
        separators=(",", ":"),
    )


def read_unanswered(text: str, flow: Flow) -> UnansweredInvite | None:
    """
    Read it back; `None` where the text is that of an answered leg, a dialog's.

    Args:
        text: Of `write_unanswered`, or of `Dialog.snapshot`.
        flow: The way to where the INVITE came from or went.

    Raises:
        ContractViolation: If it is not one of ours.
    """
    try:
        data: dict[str, Any] = json.loads(text)
        if "unanswered" not in data:
            return None
        if data["unanswered"] != _VERSION:
            raise ContractViolation(f"unanswered INVITE of version {data['unanswered']}")
        headers = Headers([(str(name), str(value)) for name, value in data["headers"]])
        invite = SipRequest("INVITE", data["uri"], headers)
        early = tuple(Dialog.from_snapshot(each) for each in data["early"])
        left = UnansweredInvite(invite, bool(data["ours"]), str(data["to_tag"]), early)
        # What is read later in any case, so that it fails here.
        invite.serialize()
        _ = (invite.top_via, invite.cseq, invite.from_tag, invite.to_tag, invite.call_id)
        if not left.is_ours:
            Dialog.from_invite(invite, left.to_tag, flow)
    except (ValueError, KeyError, TypeError, AttributeError, RemoteSipError) as error:
        raise ContractViolation("not an unanswered INVITE") from error
    return left
