"""The pages of who is signed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from voiceblocks.console.handlers import ConsoleHandlers
from voiceblocks.console.ladder_picture import picture_of
from voiceblocks.console.rendering import SECURE, page, sorry
from voiceblocks.errors import RequestRefused, StoreError
from voiceblocks.notifications.model import Attempt, Notification
from voiceblocks.notifications.recording_words import health_words
from voiceblocks.notifications.state import NotificationState
from voiceblocks.recordings.model import Recording
from voiceblocks.recordings.state import RecordingState
from voiceblocks.users.model import Role
from voiceblocks.workflows.act_for_people import NO_SUCH
from voiceblocks.workflows.draw_ladder import ladder_of
from voiceblocks.workflows.export_story import story_capture, story_json
from voiceblocks.workflows.show_to_people import Cursor
from voiceblocks.workflows.sign_in import Visitor
from voiceblocks.workflows.story_troubles import troubles_of
from voiceblocks.workflows.tell_story import Story

_SEARCH_MAX: Final = 64
MOMENTS: Final = 120
RUNGS: Final = 60
"Of a long story so many are shown from its beginning, and so many from its end."
TOLD: Final = 50
"Notifications that a call's page lists, the last ones."
_FOR_OPERATORS: Final = "This page is for operators of the server."


_MEANINGS: Final = {
    NotificationState.PENDING: "It is on its way: being sent, or waiting for its next attempt.",
    NotificationState.DELIVERED: "The application has received it.",
    NotificationState.ACTED_ON: "The application has received it, and sent the call's next block.",
    NotificationState.SUPERSEDED: (
        "The call ended before it was delivered. Nothing in it matters any more, so it is not "
        "sent again by itself."
    ),
    NotificationState.GIVEN_UP: (
        "It was never taken, or its URL said that it is gone. It is not sent again by itself: look "
        "at the last answer, and send it again once the application takes it."
    ),
}
_NOT_YET: Final = "It cannot be heard yet: it is still being recorded, or encoded."
_NOT_TO_BE_HEARD: Final = {
    RecordingState.DELETED: "It was deleted, and cannot be heard any more.",
    RecordingState.FAILED: (
        "It could not be finished. The server's log says why; what was recorded is kept on its "
        "disk and tried again at its next start."
    ),
}
_HEALTH_LABELS: Final = {
    "packets_expected": ("Packets expected", ""),
    "packets_received": ("Packets received", ""),
    "packets_late": ("Packets too late", ""),
    "packets_lost": ("Packets lost", ""),
    "absent_ms": ("Missing audio", " ms"),
    "paused_ms": ("Paused", " ms"),
    "level_dbfs": ("Loudness", " dBFS"),
    "silence_percent": ("Silence", " %"),
    "one_way": ("One-way audio", ""),
}


class Pages:
    """
    All of them.

    Args:
        handlers: Where their facts come from.
    """

    def __init__(self, handlers: ConsoleHandlers) -> None:
        self._handlers = handlers
        self._show = handlers.show

    async def home(self, request: Request, visitor: Visitor) -> Response:
        """Show what goes on now, and what was last."""
        live = await self._show.live_calls(visitor.user)
        latest = await self._show.recordings(visitor.user)
        ended = await self._show.calls(visitor.user)
        return page(
            "home.html",
            visitor,
            live=live,
            recordings=latest.recordings[:5],
            calls=ended.calls[:8],
        )

    async def calls(self, request: Request, visitor: Visitor) -> Response:
        """Show the list of calls, and what a search found."""
        search = request.query_params.get("q", "").strip()[:_SEARCH_MAX]
        found = await self._show.calls(visitor.user, search, _after(request))
        return page(
            "calls.html",
            visitor,
            calls=found.calls,
            search=search,
            next=_next_query(found.next, q=search),
        )

    async def call(self, request: Request, visitor: Visitor) -> Response:
        """Show the story of a call."""
        story = await self._show.story(visitor.user, request.path_params["call"])
        if story is None:
            return sorry(visitor, HTTPStatus.NOT_FOUND, NO_SUCH)
        ladder = ladder_of(story).shortened(RUNGS, RUNGS)
        return page(
            "call.html",
            visitor,
            story=story,
            call=story.session,
            troubles=troubles_of(story),
            first=story.moments[:MOMENTS],
            last=story.moments[MOMENTS:][-MOMENTS:],
            n_left_out=max(0, len(story.moments) - 2 * MOMENTS),
            told=story.notifications[-TOLD:],
            ladder=picture_of(ladder),
        )

    async def call_capture(self, request: Request, visitor: Visitor) -> Response:
        """Give a call's SIP to Wireshark."""
        return await self._download(
            request, visitor, "pcap", "application/vnd.tcpdump.pcap", story_capture
        )

    async def call_document(self, request: Request, visitor: Visitor) -> Response:
        """Give a call's whole story to a program."""
        return await self._download(request, visitor, "json", "application/json", story_json)

    async def _download(
        self,
        request: Request,
        visitor: Visitor,
        ending: str,
        media_type: str,
        made_of: Callable[[Story], bytes | str],
    ) -> Response:
        story = await self._show.story(visitor.user, request.path_params["call"])
        if story is None:
            return sorry(visitor, HTTPStatus.NOT_FOUND, NO_SUCH)
        name = f'attachment; filename="{story.session.id}.{ending}"'
        headers = {**SECURE, "content-disposition": name}
        return Response(made_of(story), media_type=media_type, headers=headers)

    async def recordings(self, request: Request, visitor: Visitor) -> Response:
        """Show the list of recordings."""
        found = await self._show.recordings(visitor.user, _after(request))
        return page(
            "recordings.html",
            visitor,
            recordings=found.recordings,
            next=_next_query(found.next),
        )

    async def recording(self, request: Request, visitor: Visitor) -> Response:
        """Show one recording, to be heard."""
        found = await self._show.recording(visitor.user, request.path_params["recording"])
        if found is None:
            return sorry(visitor, HTTPStatus.NOT_FOUND, NO_SUCH)
        ready = found.recording.state is RecordingState.READY
        link = self._link(found.recording) if ready else None
        return page(
            "recording.html",
            visitor,
            recording=found.recording,
            call=found.session,
            health=_for_people(health_words(found.recording)) if ready else [],
            link=link,
            link_until_us=_good_until_us(link or ""),
            why_not=_NOT_TO_BE_HEARD.get(found.recording.state, _NOT_YET),
        )

    async def audio(self, request: Request, visitor: Visitor) -> Response:
        """Serve a recording to our own player."""
        found = await self._show.recording(visitor.user, request.path_params["recording"])
        if found is None or found.recording.state is not RecordingState.READY:
            return sorry(visitor, HTTPStatus.NOT_FOUND, NO_SUCH)
        name = found.recording.object_name
        # Through the same door as everybody: a link, checked.
        query = dict(parse_qsl(urlsplit(self._link(found.recording)).query))
        try:
            file = await self._handlers.recordings.open(name, request.method, query)
        except (RequestRefused, StoreError) as error:
            return sorry(visitor, HTTPStatus.NOT_FOUND, str(error))
        if file is None:
            return sorry(visitor, HTTPStatus.NOT_FOUND, NO_SUCH)
        answer = self._handlers.answer_file(request, file)
        answer.headers["content-security-policy"] = SECURE["content-security-policy"]
        if "download" in request.query_params:
            answer.headers["content-disposition"] = f'attachment; filename="{name}"'
        return answer

    async def notifications(self, request: Request, visitor: Visitor) -> Response:
        """Show what applications were told."""
        state = _state(request.query_params.get("state", ""))
        found = await self._show.notifications(visitor.user, state, _after(request))
        return page(
            "notifications.html",
            visitor,
            notifications=found.notifications,
            states=list(NotificationState),
            state=state,
            last=found.last,
            next=_next_query(found.next, state="" if state is None else state.value),
        )

    async def notification(self, request: Request, visitor: Visitor) -> Response:
        """Show one notification with every attempt."""
        found = await self._show.notification(visitor.user, request.path_params["notification"])
        if found is None:
            return sorry(visitor, HTTPStatus.NOT_FOUND, NO_SUCH)
        notification, attempts = found
        return page(
            "notification.html",
            visitor,
            notification=notification,
            meaning=_meaning(notification, attempts),
            parameters=parse_qsl(notification.parameters, keep_blank_values=True),
            attempts=attempts,
        )

    async def account(self, request: Request, visitor: Visitor) -> Response:
        """Show accounts with their applications and numbers."""
        found = await self._show.accounts(visitor.user, request.query_params.get("of", ""))
        return page("account.html", visitor, found=found, one=found.shown)

    async def trunks(self, request: Request, visitor: Visitor) -> Response:
        """Show the trunks with the state of their registration."""
        if visitor.user.role is not Role.OPERATOR:
            return sorry(visitor, HTTPStatus.FORBIDDEN, _FOR_OPERATORS)
        found = await self._show.trunks(visitor.user)
        states = self._handlers.health().registrations
        return page("trunks.html", visitor, trunks=found, registrations=states)

    async def health(self, request: Request, visitor: Visitor) -> Response:
        """Show how the node is."""
        if visitor.user.role is not Role.OPERATOR:
            return sorry(visitor, HTTPStatus.FORBIDDEN, _FOR_OPERATORS)
        waiting = await self._show.notifications_waiting()
        health = self._handlers.health()
        return page("health.html", visitor, health=health, notifications_waiting=waiting)

    def _link(self, recording: Recording) -> str:
        return self._handlers.sign_link(recording.object_name, recording.link_revision)


def _meaning(notification: Notification, attempts: Sequence[Attempt]) -> str:
    """Where it stands, in a sentence."""
    status = attempts[-1].http_status if attempts else None
    if notification.state is NotificationState.DELIVERED and status and status // 100 != 2:
        return (
            f"The application answered HTTP {status}. That counts as received: it is not sent "
            "again by itself."
        )
    return _MEANINGS[notification.state]


def _for_people(words: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """What a notification calls `level_dbfs`, with its name and unit."""
    told = []
    for name, value in words:
        label, unit = _HEALTH_LABELS[name]
        told.append((label, f"{value}{unit}"))
    return told


def _good_until_us(link: str) -> int | None:
    expires = dict(parse_qsl(urlsplit(link).query)).get("Expires", "")
    return int(expires) * 1_000_000 if expires.isdecimal() else None


def _after(request: Request) -> Cursor | None:
    """Where the page begins; an address that somebody changed begins at the newest."""
    time_us, _, row_id = request.query_params.get("after", "").partition("~")
    is_good = time_us.isascii() and time_us.isdecimal() and len(time_us) <= 18
    return Cursor(int(time_us), row_id) if is_good else None


def _next_query(cursor: Cursor | None, **kept: str) -> str | None:
    if cursor is None:
        return None
    named = {name: value for name, value in kept.items() if value}
    return urlencode({**named, "after": f"{cursor.created_us}~{cursor.id}"})


def _state(text: str) -> NotificationState | None:
    try:
        return NotificationState(text)
    except ValueError:
        return None
