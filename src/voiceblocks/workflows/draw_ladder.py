"""A call's story as a ladder: its legs' far ends, this server, and the application."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from voiceblocks.sessions.model import Direction
from voiceblocks.stories.ladder import NOTE, Ladder, Rung
from voiceblocks.stories.model import ApiRequest, Cut, MediaBegan, MediaEnded, SipMessage
from voiceblocks.stories.sip_words import summary_of, with_repeats
from voiceblocks.workflows.tell_story import Story

MOST_FURTHER: Final = 3
"Legs with columns of their own; the others share one."


def ladder_of(story: Story) -> Ladder:
    """Draw what was said; of a call whose events were forgotten, its notifications."""
    numbers = {leg.id: index for index, leg in enumerate(story.legs)}
    shared = min(len(numbers), MOST_FURTHER + 1)
    columns_of = {"": 0} | {leg: 1 + min(index, MOST_FURTHER) for leg, index in numbers.items()}
    incoming = story.session.direction is Direction.INBOUND
    names = [f"leg {leg.number}" for leg in story.legs][:MOST_FURTHER]
    names += ["other legs"] * (shared > MOST_FURTHER)
    columns = ("caller" if incoming else "far end", *names, "voiceblocks", "application")
    rungs = sorted(_rungs(story, columns_of, here=len(columns) - 2), key=lambda rung: rung.at_us)
    return Ladder(story.began_us, columns, tuple(rungs))


def _rungs(story: Story, columns_of: dict[str, int], *, here: int) -> Iterator[Rung]:
    application = here + 1
    messages = (event for event in story.events if isinstance(event, SipMessage))
    for message, is_repeat in with_repeats(messages):
        far = columns_of.get(message.leg, 0)
        way = (far, here) if message.incoming else (here, far)
        label = summary_of(message.data).label
        yield Rung(message.at_us, "sip", label, *way, is_repeat=is_repeat)
    for event in story.events:
        match event:
            case ApiRequest():
                label = f"{event.api.rpartition('/')[2]}: {event.status}"
                yield Rung(event.at_us, "api", label, application, here)
            case MediaBegan():
                yield Rung(event.at_us, "media", "RTP", columns_of.get(event.leg, 0), here)
            case MediaEnded():
                leg = story.leg_names.get(event.leg, "a leg")
                label = f"RTP of the {leg} over: {event.received} of {event.expected} packets"
                yield Rung(event.at_us, NOTE, label)
            case Cut():
                yield Rung(event.at_us, NOTE, f"{event.n_events} events were not kept")
            case _:
                pass
    told = {one.id: one for one in story.notifications}
    for attempt in story.attempts:
        one = told.get(attempt.notification_id)
        if one is not None:
            came = attempt.http_status or "no answer"
            label = f"{one.sequence} {one.block}: {came}"
            again = attempt.number > 1
            yield Rung(
                attempt.started_us, "notification", label, here, application, is_repeat=again
            )
    if story.session.answered_us is not None:
        yield Rung(story.session.answered_us, NOTE, "answered")
    if story.session.ended_us is not None:
        yield Rung(story.session.ended_us, NOTE, f"ended: {story.why}")
