"""The blocks, each as a request. What they do: `docs/blocks/` of the server.

Texts may hold `<speech language="…">` and `<url>…</url>`. Without a notify_url a call ends
after its message, except where the block says otherwise.
"""

from __future__ import annotations

from voiceblocks.client import answers
from voiceblocks.client.request import Request, nothing, request


def dial(
    dest: str,
    msg: str | None = None,
    *,
    caller_id: str | None = None,
    max_duration: int | None = None,
    ring_time: int | None = None,
    tag: str | None = None,
    notify_url: str | None = None,
) -> Request[answers.Dialled]:
    """Call `dest` and say `msg`; durations in seconds."""
    return request(
        "ivr/start/dial",
        answers.dialled,
        dest=dest,
        msg=msg,
        caller_id=caller_id,
        max_duration=max_duration,
        ring_time=ring_time,
        tag=tag,
        notify_url=notify_url,
    )


def play(
    session: str,
    msg: str | None = None,
    *,
    tag: str | None = None,
    notify_url: str | None = None,
) -> Request[None]:
    """Say `msg`."""
    return request(
        "ivr/middle/play", nothing, session=session, msg=msg, tag=tag, notify_url=notify_url
    )


def gather(
    session: str,
    notify_url: str,
    *,
    msg: str | None = None,
    max_digits: int | None = None,
    timeout: int | None = None,
    attempts: int | None = None,
    tag: str | None = None,
) -> Request[None]:
    """Say `msg` and take keys; `timeout` in seconds."""
    return request(
        "ivr/middle/gather",
        nothing,
        session=session,
        notify_url=notify_url,
        msg=msg,
        max_digits=max_digits,
        timeout=timeout,
        attempts=attempts,
        tag=tag,
    )


def record(
    session: str,
    notify_url: str | None = None,
    *,
    msg: str | None = None,
    max_duration: int | None = None,
    tag: str | None = None,
    format: str | None = None,  # noqa: A002 - the API's own name
    beep: bool = True,
    finish_key: str | None = None,
    max_silence: int | None = None,
    trim: str | None = None,
) -> Request[None]:
    """
    Say `msg`, beep, and record for `max_duration` seconds at most.

    `format` is `mp3` or `wav`, `finish_key` the keys that end it or `none`, `max_silence` in
    seconds, `trim` `none` or `silence`.
    """
    return request(
        "ivr/middle/record",
        nothing,
        session=session,
        notify_url=notify_url,
        msg=msg,
        max_duration=max_duration,
        tag=tag,
        format=format,
        beep=None if beep else "no",
        finish_key=finish_key,
        max_silence=max_silence,
        trim=trim,
    )


def monitor(
    session: str,
    notify_url: str,
    *,
    msg: str | None = None,
    monitor_notify_url: str | None = None,
    tag: str | None = None,
) -> Request[None]:
    """Record both sides from here on; told at `monitor_notify_url` after the call."""
    return request(
        "ivr/middle/monitor",
        nothing,
        session=session,
        notify_url=notify_url,
        msg=msg,
        monitor_notify_url=monitor_notify_url,
        tag=tag,
    )


def hold(session: str, msg: str | None = None) -> Request[None]:
    """Music, or `msg` over and over, until `unhold`."""
    return request("ivr/middle/hold", nothing, session=session, msg=msg)


def unhold(session: str, *, tag: str | None = None, notify_url: str | None = None) -> Request[None]:
    """End a hold."""
    return request("ivr/middle/unhold", nothing, session=session, tag=tag, notify_url=notify_url)


def transfer(
    session: str,
    dest: str,
    *,
    msg: str | None = None,
    caller_id: str | None = None,
    on_failure: str | None = None,
    ring_time: int | None = None,
    tag: str | None = None,
    notify_url: str | None = None,
) -> Request[answers.Transferred]:
    """
    Connect with a number, the first of several (with commas) to answer, or `room:NAME`.

    `on_failure` is `hangup` (as if left out) or `continue`.
    """
    return request(
        "ivr/end/transfer",
        answers.transferred,
        session=session,
        dest=dest,
        msg=msg,
        caller_id=caller_id,
        on_failure=on_failure,
        ring_time=ring_time,
        tag=tag,
        notify_url=notify_url,
    )


def hangup(
    session: str,
    *,
    msg: str | None = None,
    force: bool = False,
    tag: str | None = None,
    notify_url: str | None = None,
) -> Request[None]:
    """Say `msg` and hang up; with `force` at any moment, and without `msg`."""
    return request(
        "ivr/end/hangup",
        nothing,
        session=session,
        msg=msg,
        force="enabled" if force else None,
        tag=tag,
        notify_url=notify_url,
    )
