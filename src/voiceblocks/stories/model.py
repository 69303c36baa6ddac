"""What happened in a call beyond what is stored for other reasons, event by event.

Blocks, recordings, notifications, attempts and charges have their own tables and are not told
twice: `workflows.tell_story` puts both together. Fields may be appended to these, with a default;
the batches that are stored go on being read then (`packing`).
"""

from __future__ import annotations

import msgspec

Address = tuple[str, int]


class StoryEvent(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Base of all events. `at_us` is UTC."""

    at_us: int


class SipMessage(StoryEvent, frozen=True, tag="sip", array_like=True):
    """A SIP message of one of the call's dialogs, each retransmission too."""

    leg: str
    "Id of a further leg; empty for the call's first one."
    incoming: bool
    transport: str
    '`"udp"` or `"tcp"`.'
    local: Address
    remote: Address
    data: bytes
    "Its first bytes, with secrets blanked."
    size_bytes: int
    "As it was on the wire."


class PromptMade(msgspec.Struct, frozen=True, array_like=True):
    """A part of a `msg`, turned into sound or not."""

    kind: str
    '`"text"`, `"speech"` or `"url"`.'
    source: str
    "Language of what is spoken, or the URL without its query."
    ms: int
    was_cached: bool
    status: str = ""
    "What the application was told, where it failed."


class ApiRequest(StoryEvent, frozen=True, tag="api", array_like=True):
    """An authenticated request about this call; `at_us` is when it came."""

    api: str
    'Path below `/open/`, such as `"ivr/middle/record"`.'
    status: str
    ms: float
    prompts: list[PromptMade] = []


class MediaBegan(StoryEvent, frozen=True, tag="media_began", array_like=True):
    """The source of a leg's RTP was found: at its first packets, and where it changed."""

    leg: str
    local: Address
    remote: Address
    ssrc: int


class MediaEnded(StoryEvent, frozen=True, tag="media_ended", array_like=True):
    """A media leg was closed; its counters from its beginning."""

    leg: str
    codec: str
    local: Address
    remote: Address | None
    "From where RTP came last, `None` if none came."
    ssrc: int
    "Of what came."
    expected: int
    received: int
    late: int
    "Came too late to be placed."
    jitter_ms: float
    "At the end (RFC 3550 6.4.1)."
    sent: int

    @property
    def lost(self) -> int:
        """Packets that never came."""
        return max(0, self.expected - self.received)


class RecordingStep(StoryEvent, frozen=True, tag="recording", array_like=True):
    """What became of a recording before it was ready."""

    recording_id: str
    what: str
    '`"begins"` or `"ends"`.'
    ms: int = 0
    "How long it is, at its end."


class Cut(StoryEvent, frozen=True, tag="cut", array_like=True):
    """So many events before this one were not kept: there were more than a call may have."""

    n_events: int


AnyEvent = SipMessage | ApiRequest | MediaBegan | MediaEnded | RecordingStep | Cut
