"""`voiceblocks notifications`: what applications were told, and whether they took it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import typer

from voiceblocks.cli.output import Json, Most, fail, moment, tell, tell_rows
from voiceblocks.cli.store import open_store
from voiceblocks.database import notification_attempts, notifications, stopped_urls
from voiceblocks.notifications.model import Notification, host_of
from voiceblocks.notifications.state import NotificationState
from voiceblocks.system_clock import SystemClock
from voiceblocks.workflows.resend_notification import resend_notification
from voiceblocks.workflows.serve_recording import sign_link

app = typer.Typer(no_args_is_help=True, help="What applications are told.")

COLUMNS = ("id", "session", "block", "host", "state", "attempts", "created")
ATTEMPT_COLUMNS = ("number", "started", "latency_ms", "http_status", "error", "answer")


@app.callback()
def about() -> None:
    """Look at notifications, and have them sent again."""


State = Annotated[
    list[NotificationState] | None,
    typer.Option("--state", help="Only these; may be given several times."),
]
Since = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="UTC.")
]


@app.command("list")
def list_notifications(
    most: Most = 50,
    state: State = None,
    host: Annotated[str | None, typer.Option(help="HOST:PORT as in the notify_url.")] = None,
    session: Annotated[str | None, typer.Option(help="Of one call.")] = None,
    app_id: Annotated[str | None, typer.Option("--app", help="Of one application.")] = None,
    since: Since = None,
    as_json: Json = False,
) -> None:
    """Show the newest notifications. Their URLs may hold secrets, so only hosts are shown."""
    wanted = _wanted(state, host, session, app_id, since)
    with open_store(as_json) as store:
        found = store.run(lambda c: notifications.recent(c, most, wanted))
    tell_rows(as_json, "notifications", COLUMNS, (_row(one) for one in found))


@app.command("show")
def show(notification_id: str, as_json: Json = False) -> None:
    """Show the attempts of one: when, how long it took, and what was answered."""
    with open_store(as_json) as store:
        if store.run(lambda c: notifications.find(c, notification_id)) is None:
            fail(as_json, f"There is no notification {notification_id}")
        attempts = store.run(lambda c: notification_attempts.list_of(c, notification_id))
    rows = (
        {
            "number": one.number,
            "started": moment(one.started_us),
            "latency_ms": one.latency_ms,
            "http_status": one.http_status,
            "error": one.error,
            "answer": one.answer,
        }
        for one in attempts
    )
    tell_rows(as_json, "attempts", ATTEMPT_COLUMNS, rows)


@app.command("resend")
def resend(
    ids: Annotated[list[str] | None, typer.Argument(help="Which ones, by id.")] = None,
    most: Most = 1000,
    state: State = None,
    host: Annotated[str | None, typer.Option(help="HOST:PORT as in the notify_url.")] = None,
    session: Annotated[str | None, typer.Option(help="Of one call.")] = None,
    app_id: Annotated[str | None, typer.Option("--app", help="Of one application.")] = None,
    since: Since = None,
    as_json: Json = False,
) -> None:
    """
    Send settled notifications again, with the ids that they had.

    Name them, or say which with the options; without --state those that were given up.
    """
    if not ids and not any((state, host, session, app_id, since)):
        fail(as_json, "Name notifications, or say which: see `voiceblocks notifications list`")
    if ids and any((state, host, session, app_id, since)):
        fail(as_json, "Name notifications or say which with options, not both")
    wanted = _wanted(state or [NotificationState.GIVEN_UP], host, session, app_id, since)
    sent = []
    with open_store(as_json) as store:
        now_us = SystemClock().utc_us()
        key = store.key()
        expires_s = now_us // 1_000_000 + store.settings.link_ttl_s

        def sign(public_url: str, object_name: str, revision: int) -> str:
            return sign_link(key, public_url, object_name, expires_s=expires_s, revision=revision)

        if not ids:
            found = store.run(lambda c: notifications.recent(c, most, wanted))
            # As they were told: the oldest first.
            ids = [one.id for one in reversed(found)]
        for one in ids:
            store.run(
                partial(resend_notification, notification_id=one, sign_link=sign, now_us=now_us)
            )
            sent.append(one)
    tell(as_json, {"resent": sent}, f"{len(sent)} sent again: see `voiceblocks notifications list`")


@app.command("stopped")
def stopped(as_json: Json = False) -> None:
    """Show the hosts of URLs that nothing is sent to, since they answered 410 (gone)."""
    with open_store(as_json) as store:
        found = store.run(stopped_urls.list_all)
    rows = (
        {
            "id": one.id[:12],
            "app": one.app_id,
            "host": host_of(one.url),
            "stopped": moment(one.stopped_us),
        }
        for one in found
    )
    tell_rows(as_json, "stopped", ("id", "app", "host", "stopped"), rows)


@app.command("resume")
def resume(url: str, as_json: Json = False) -> None:
    """Send to a URL again that had answered 410, given in full or by its id from `stopped`."""
    with open_store(as_json) as store:
        n = store.run(lambda c: stopped_urls.resume_for_all(c, url))
        if not n:
            fail(as_json, "That URL is not stopped: see `voiceblocks notifications stopped`")
    tell(as_json, {"resumed": n}, "Notifications are sent there again")


def _wanted(
    states: list[NotificationState] | None,
    host: str | None,
    session: str | None,
    app_id: str | None,
    since: datetime | None,
) -> notifications.Wanted:
    return notifications.Wanted(
        states=states or (),
        host=host,
        session_id=session,
        app_id=app_id,
        since_us=None if since is None else int(since.replace(tzinfo=UTC).timestamp()) * 1_000_000,
    )


def _row(one: Notification) -> dict[str, Any]:
    return {
        "id": one.id,
        "session": one.session_id,
        "block": one.block,
        "host": one.host,
        "state": one.state.value,
        "attempts": one.attempt_count,
        "created": moment(one.created_us),
    }
