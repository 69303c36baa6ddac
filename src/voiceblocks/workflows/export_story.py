"""A call's story for other programs: JSON with everything, and a capture of its SIP."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from voiceblocks.stories.model import AnyEvent, ApiRequest, SipMessage
from voiceblocks.stories.pcap import capture_of
from voiceblocks.workflows.tell_story import Story

FORMAT: Final = "voiceblocks-story"
VERSION: Final = 1
"Fields may be added under the same version; one that changes or goes makes it another."


def story_capture(story: Story) -> bytes:
    """Its SIP messages as pcap; one without packets where none were kept."""
    return capture_of(event for event in story.events if isinstance(event, SipMessage))


def story_json(story: Story) -> str:
    """The whole story, numbers in full: for whoever may see the call (docs/stories.md)."""
    return json.dumps(story_document(story), indent=1)


def story_document(story: Story) -> dict[str, Any]:
    """The same as a value."""
    session = story.session
    return {
        "format": FORMAT,
        "version": VERSION,
        "why": story.why,
        "call": {
            "session": session.id,
            "txn_ref": session.txn_ref,
            "direction": session.direction.value,
            "from": session.from_number,
            "to": session.to_number,
            "state": session.state.value,
            "disposition": session.disposition,
            "end_cause": session.end_cause,
            "end_status": session.end_status,
            "created": moment_text(session.created_us),
            "answered": _optional(session.answered_us),
            "ended": _optional(session.ended_us),
        },
        "legs": [
            {
                "id": leg.id,
                "number": leg.number,
                "dest": leg.dest,
                "disposition": leg.disposition,
                "answered": _optional(leg.answered_us),
                "ended": _optional(leg.ended_us),
            }
            for leg in story.legs
        ],
        "moments": moment_rows(story),
        "events": [_event(event) for event in story.events],
    }


def moment_rows(story: Story) -> list[dict[str, Any]]:
    """All that happened, in words."""
    began_us = story.began_us
    return [
        {
            "at": moment_text(moment.at_us),
            "after_ms": (moment.at_us - began_us) // 1000,
            "kind": moment.kind,
            "what": moment.what,
            "subject": moment.subject,
        }
        for moment in story.moments
    ]


def moment_text(at_us: int) -> str:
    """UTC to the millisecond."""
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"


def _optional(at_us: int | None) -> str | None:
    return None if at_us is None else moment_text(at_us)


def _event(event: AnyEvent) -> dict[str, Any]:
    named = {
        name: msgspec.to_builtins(getattr(event, name))
        for name in event.__struct_fields__
        if name != "data"
    }
    told = {"type": type(event).__struct_config__.tag, "at": moment_text(event.at_us), **named}
    if isinstance(event, ApiRequest):
        told["prompts"] = [msgspec.structs.asdict(prompt) for prompt in event.prompts]
    if isinstance(event, SipMessage):
        told["text"] = event.data.decode("utf-8", "replace")
        told["is_cut"] = len(event.data) < event.size_bytes
    return told
