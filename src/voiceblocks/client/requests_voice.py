"""Calls that no blocks lead, conferences, and questions about calls, each as a request."""

from __future__ import annotations

from datetime import datetime

from voiceblocks.client import answers
from voiceblocks.client.request import Request, nothing, request


def call(
    dest1: str | None,
    dest2: str,
    *,
    caller_id: str | None = None,
    max_duration: int | None = None,
    tag: str | None = None,
    notify_url: str | None = None,
) -> Request[answers.Placed]:
    """Connect two numbers; without `dest1` the account's own. Duration in seconds."""
    return request(
        "voice/call",
        answers.placed,
        dest1=dest1,
        dest2=dest2,
        caller_id=caller_id,
        max_duration=max_duration,
        tag=tag,
        notify_url=notify_url,
    )


def conference(
    *dests: str,
    room: str | None = None,
    caller_id: str | None = None,
    tag: str | None = None,
    notify_url: str | None = None,
) -> Request[answers.Conference]:
    """Call numbers into a room; whom `room` names already go on talking."""
    return request(
        "conference/call",
        answers.conference,
        dest=",".join(dests),
        room=room,
        caller_id=caller_id,
        tag=tag,
        notify_url=notify_url,
    )


def moderate(txn_ref: str, action: str) -> Request[None]:
    """`kick`, `mute` or `unmute` a participant."""
    return request("conference/moderate", nothing, txn_ref=txn_ref, action=action)


def hangup(txn_ref: str) -> Request[None]:
    """End a call."""
    return request("voice/hangup", nothing, txn_ref=txn_ref)


def status(txn_ref: str) -> Request[answers.CallStatus]:
    """What became of a call."""
    return request("voice/query_status", answers.call_status, txn_ref=txn_ref)


def history(
    from_date: datetime | None = None,
    to_date: datetime | None = None,
    page: int | None = None,
) -> Request[answers.History]:
    """A page of the application's calls, 100 a page, from 1."""
    times = {"from": answers.write_time(from_date), "to": answers.write_time(to_date)}
    return request("voice/get_history", answers.history, page=page, **times)


def rate(dest1: str, dest2: str) -> Request[answers.Rate]:
    """What a minute between two numbers costs."""
    return request("voice/get_rate", answers.rate, dest1=dest1, dest2=dest2)
