"""Events of a call's story in words, one sentence each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from voiceblocks.notifications.model import Attempt, Notification
from voiceblocks.stories.model import (
    Address,
    AnyEvent,
    ApiRequest,
    Cut,
    MediaBegan,
    MediaEnded,
    PromptMade,
    RecordingStep,
    SipMessage,
)
from voiceblocks.stories.sip_words import summary_of, with_repeats

_ERROR_MOST: Final = 120


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened."""

    at_us: int
    kind: str
    """`call`, `leg`, `block`, `recording`, `notification`, `attempt`, `charge`, `sip`, `api`,
    `prompt`, `media` or `cut`."""
    what: str
    subject: str | None = None
    "Id of the recording or notification."


def moments_of(events: Sequence[AnyEvent], leg_names: Mapping[str, str]) -> Iterator[Moment]:
    """
    Tell events.

    Args:
        events: In their order.
        leg_names: What legs are called, by their ids; that of the first is empty.
    """
    messages = [event for event in events if isinstance(event, SipMessage)]
    for message, is_repeat in with_repeats(messages):
        yield _of_message(message, _name(leg_names, message.leg), is_repeat=is_repeat)
    for event in events:
        match event:
            case ApiRequest():
                yield from _of_request(event)
            case MediaBegan():
                way = f"from {address(event.remote)} to {address(event.local)}"
                what = f"RTP of the {_name(leg_names, event.leg)} comes {way}"
                yield Moment(event.at_us, "media", what)
            case MediaEnded():
                yield _of_counters(event, _name(leg_names, event.leg))
            case RecordingStep():
                how = f" after {event.ms / 1000:.3f} s" if event.what == "ends" else ""
                what = f"recording {event.recording_id} {event.what}{how}"
                yield Moment(event.at_us, "recording", what, event.recording_id)
            case Cut():
                what = f"{event.n_events} events before this one were not kept: there were too many"
                yield Moment(event.at_us, "cut", what)
            case _:
                pass


def moments_of_attempts(
    attempts: Iterable[Attempt], told: Mapping[str, Notification]
) -> Iterator[Moment]:
    """Tell each request of a notification, and what came of it."""
    for attempt in attempts:
        one = told.get(attempt.notification_id)
        if one is None:
            continue
        came = attempt.error or f"HTTP {attempt.http_status}"
        what = (
            f"notification {one.sequence} ({one.block}), attempt {attempt.number}: "
            f"{came[:_ERROR_MOST]} after {attempt.latency_ms} ms"
        )
        yield Moment(attempt.started_us, "attempt", what, one.id)


def address(host_port: Address) -> str:
    """`host:port`, with brackets where they are due."""
    host, port = host_port
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _name(leg_names: Mapping[str, str], leg: str) -> str:
    return leg_names.get(leg, "a leg")


def _of_message(message: SipMessage, leg: str, *, is_repeat: bool) -> Moment:
    way = "received from" if message.incoming else "sent to"
    again = " once more" if is_repeat else ""
    what = (
        f"SIP {summary_of(message.data).label} {way} {address(message.remote)} "
        f"({leg}, {message.transport.upper()}){again}"
    )
    return Moment(message.at_us, "sip", what)


def _of_request(event: ApiRequest) -> Iterator[Moment]:
    for prompt in event.prompts:
        yield Moment(event.at_us, "prompt", _of_prompt(prompt))
    what = f"application asked for {event.api}: {event.status} after {event.ms:.0f} ms"
    yield Moment(event.at_us, "api", what)


def _of_prompt(prompt: PromptMade) -> str:
    what = f"{prompt.source}" if prompt.kind == "url" else f"{prompt.kind} in {prompt.source}"
    if prompt.status:
        return f"prompt of {what} failed after {prompt.ms} ms: {prompt.status}"
    how = "fetched" if prompt.kind == "url" else "spoken"
    return f"prompt of {what} {'was cached' if prompt.was_cached else how}, {prompt.ms} ms"


def _of_counters(event: MediaEnded, leg: str) -> Moment:
    source = "nobody" if event.remote is None else address(event.remote)
    what = (
        f"RTP of the {leg} over: {event.received} of {event.expected} packets of {event.codec} "
        f"from {source}, {event.lost} lost, {event.late} late, jitter {event.jitter_ms:.1f} ms, "
        f"SSRC {event.ssrc:08x}; {event.sent} sent"
    )
    return Moment(event.at_us, "media", what)
