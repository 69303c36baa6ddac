"""Notifications, as an application receives them: checked, then read."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from urllib.parse import parse_qsl

from voiceblocks import webhook_signatures as signatures
from voiceblocks.client.answers import read_time
from voiceblocks.client.errors import NotificationRefused

TOLERANCE_S = 300.0
"How far the time of an attempt may lie from ours; each attempt is signed anew."


@dataclass(frozen=True, slots=True)
class Bill:
    """What an ended call cost."""

    date: datetime
    duration_min: int
    currency: str
    rate: Decimal
    debit: Decimal
    charge_id: str | None
    "The same in two notifications that tell of one charge."


@dataclass(frozen=True, slots=True)
class Notification:
    """What a call tells. What this kind does not have is `None`, or empty."""

    block: str
    "`answer`, `record`, …; empty for the end of `voice/call` or of a conference's part."
    session: str
    txn_ref: str
    call_state: str
    "`ringing`, `ongoing` or `ended`."
    from_number: str | None
    to_number: str | None
    dest: str | None
    "Of a call that we placed."
    tag: str
    digits: str | None
    "What the caller pressed; empty where nothing."
    record_status: str | None
    record_url: str | None
    monitor_status: str | None
    monitor_url: str | None
    dial_status: str | None
    transfer_status: str | None
    room: str | None
    bill: Bill | None
    "Once the call has ended."
    parameters: Mapping[str, str]
    "Everything, by its name on the wire; your own of the notify_url, too."
    event_id: str | None = None
    "The same at each repeat. Set by `receive_notification`."
    attempt: int = 1

    @property
    def is_ended(self) -> bool:
        """Whether the call is over: no block can follow."""
        return self.call_state == "ended"


def receive_notification(
    body: bytes,
    headers: Mapping[str, str],
    access_token: str | Sequence[str],
    *,
    tolerance_s: float = TOLERANCE_S,
    now_s: float | None = None,
) -> Notification:
    """
    Check the signatures of a request and read it.

    Raises:
        NotificationRefused: If it is not the server's, too old, or cannot be read.
    """
    check_signatures(body, headers, access_token, tolerance_s=tolerance_s, now_s=now_s)
    found = _lower(headers)
    attempt = found.get("x-voiceblocks-attempt", "1")
    return _read(body, found.get(signatures.ID_HEADER), int(attempt) if attempt.isdecimal() else 1)


def check_signatures(
    body: bytes,
    headers: Mapping[str, str],
    access_token: str | Sequence[str],
    *,
    tolerance_s: float = TOLERANCE_S,
    now_s: float | None = None,
) -> None:
    """
    Check both signatures of a request, in constant time, and how old it is.

    Args:
        body: The raw body.
        headers: Of the request; names in any case.
        access_token: The application's; several while one replaces another.
        tolerance_s: How far its time may lie from now.
        now_s: The present as Unix time; by default the system's.

    Raises:
        NotificationRefused: If one of them is missing or wrong, or it is too old.
    """
    found = _lower(headers)
    tokens = [access_token] if isinstance(access_token, str) else list(access_token)
    names = (
        signatures.ID_HEADER,
        signatures.TIMESTAMP_HEADER,
        signatures.SIGNATURE_HEADER,
        signatures.HOIIO_HEADER.lower(),
    )
    missing = [name for name in names if name not in found]
    if missing:
        raise NotificationRefused(f"not signed: {', '.join(missing)} is missing")
    event_id, timestamp, standard, hoiio = (found[name] for name in names)
    # All of them, so that the time tells nothing of which one held.
    held = [
        signatures.standard_holds(event_id, timestamp, body, token, standard)
        & signatures.hoiio_holds(body, token, hoiio)
        for token in tokens
    ]
    if not any(held):
        raise NotificationRefused("the signature is not that of this application")
    # Signed, so it is a number that the server wrote.
    if abs((time.time() if now_s is None else now_s) - float(timestamp)) > tolerance_s:
        raise NotificationRefused("too old or from the future: a repeat, or a wrong clock")


def parse_notification(body: bytes | str) -> Notification:
    """
    Read a notification whose sender is known to be good; else use `receive_notification`.

    Raises:
        NotificationRefused: If it is none.
    """
    return _read(body, None, 1)


def _read(body: bytes | str, event_id: str | None, attempt: int) -> Notification:
    try:
        text = body if isinstance(body, str) else body.decode("utf-8")
        # The last of two with one name: the server's own stand behind yours.
        told = dict(parse_qsl(text, keep_blank_values=True))
        bill = _bill(told)
    except (ValueError, KeyError, InvalidOperation) as error:
        raise NotificationRefused("not a notification that can be read") from error
    if "txn_ref" not in told:
        raise NotificationRefused("not a notification: it has no txn_ref")
    return Notification(
        block=told.get("ivr_block", ""),
        session=told.get("session", ""),
        txn_ref=told["txn_ref"],
        call_state=told.get("call_state", "ended"),
        from_number=told.get("from"),
        to_number=told.get("to"),
        dest=told.get("dest"),
        tag=told.get("tag", ""),
        digits=told.get("digits"),
        record_status=told.get("record_status"),
        record_url=told.get("record_url"),
        monitor_status=told.get("monitor_status"),
        monitor_url=told.get("monitor_url"),
        dial_status=told.get("dial_status"),
        transfer_status=told.get("transfer_status"),
        room=told.get("room"),
        bill=bill,
        parameters=told,
        event_id=event_id,
        attempt=attempt,
    )


def _bill(told: Mapping[str, str]) -> Bill | None:
    if "debit" not in told:
        return None
    return Bill(
        date=read_time(told["date"]),
        duration_min=int(told["duration"]),
        currency=told["currency"],
        rate=Decimal(told["rate"]),
        debit=Decimal(told["debit"]),
        charge_id=told.get("charge_id"),
    )


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
