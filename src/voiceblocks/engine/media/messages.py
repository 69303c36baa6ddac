"""What the control process and its media processes say to each other.

Versioned (`PROTOCOL_VERSION` in `Hello`). The words are legs, taps, sources and
rows, never blocks or recordings' business meaning (decision 13). Times are
seconds of CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import msgspec

PROTOCOL_VERSION = 4


class Message(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Base of all messages."""


class Format(msgspec.Struct, frozen=True, array_like=True):
    """What was negotiated for one leg: what we may receive, and what we send."""

    codec: str
    'RTP encoding name of the audio, both ways: `"PCMU"` or `"PCMA"`.'
    payload_type: int
    "Payload type of the audio that we send and expect."
    event_payload_type: int | None = None
    "Payload type of RFC 4733 telephone-events, `None` where not negotiated."
    comfort_noise_payload_type: int | None = None
    "Payload type of RFC 3389 comfort noise, `None` where not negotiated."
    ptime_ms: int = 20
    "Packet duration that we send; what arrives may have any."
    listens_for_tones: bool = False
    "Whether keys come as tones in the audio: no telephone-event was agreed."


class StreamState(msgspec.Struct, frozen=True, array_like=True):
    """Where a leg's outgoing RTP stream stands; moves with the leg (decision 14)."""

    ssrc: int
    sequence: int
    timestamp: int


# Control process -> media worker


class OpenLeg(Message, frozen=True, tag=True, array_like=True):
    """Start a leg on the RTP and RTCP sockets that ride along (in this order)."""

    leg: int
    format: Format
    stream: StreamState
    remote: tuple[str, int] | None
    "Where the SDP says to send; symmetric RTP may override it. `None`: wait for the peer."
    remote_rtcp: tuple[str, int] | None
    send: bool
    receive: bool
    cname: str


class UpdateLeg(Message, frozen=True, tag=True, array_like=True):
    """
    A re-INVITE or UPDATE changed the leg: address, codec, direction. The source lock reopens.

    What plays goes on, in the new codec.
    """

    leg: int
    format: Format
    remote: tuple[str, int] | None
    remote_rtcp: tuple[str, int] | None
    send: bool
    receive: bool


class CloseLeg(Message, frozen=True, tag=True, array_like=True):
    """End a leg: its taps are closed first, RTCP BYE is sent, the sockets are closed."""

    leg: int


class StartSource(Message, frozen=True, tag=True, array_like=True):
    """
    Send these clips one after another on a leg, instead of silence.

    Clips are files of headerless G.711 in the leg's present law, 8000 bytes a second.
    A second source on the same leg replaces the first.

    With `then_recorded`, what comes after its end is kept for a tap that is about to be opened.
    """

    leg: int
    source: int
    clips: list[str]
    loop: bool = False
    then_recorded: bool = False


class StopSource(Message, frozen=True, tag=True, array_like=True):
    """Stop a source; `SourceEnded` follows."""

    leg: int
    source: int


class OpenTap(Message, frozen=True, tag=True, array_like=True):
    """
    From now on, place what the leg receives, or sends, into a row of the worker's ring arena.

    `after_source` names a source that was `then_recorded`: the tap begins where that was over,
    a moment before now.
    `limit_samples` closes the tap by itself after so much wall-clock time (8000 a second).
    """

    leg: int
    tap: int
    row: int
    name: str
    "Name of the spool that the row belongs to; written into the row for crash recovery."
    limit_samples: int | None = None
    outgoing: bool = False
    "What the leg sends, instead of what it receives."
    seal_for: bytes | None = None
    "Public X25519 key: the row is a sealed one, whose audio only that key's owner can hear."
    after_source: int | None = None


class CloseTap(Message, frozen=True, tag=True, array_like=True):
    """
    Close a tap.

    With `at_timestamp` (an RTP timestamp of the leg's received stream, as given in
    `DigitReceived`) it ends exactly there and what was placed later is cut off;
    without, it ends at the wall-clock instant `at` (monotonic seconds).
    """

    leg: int
    tap: int
    at: float
    at_timestamp: int | None = None


class PauseTap(Message, frozen=True, tag=True, array_like=True):
    """
    From the wall-clock instant `at` on keep nothing of what a tap takes, or go on with it.

    Its time goes on: what lies between is silence. Said twice, it changes nothing.
    """

    leg: int
    tap: int
    at: float
    paused: bool


class JoinMix(Message, frozen=True, tag=True, array_like=True):
    """
    Put a leg into a mix, or change what it does there. It leaves the mix that it was in.

    A mix exists as long as somebody is in it. A source on the leg plays instead of the mix.
    """

    leg: int
    mix: int
    speaks: bool = True
    hears: bool = True


class LeaveMix(Message, frozen=True, tag=True, array_like=True):
    """Take a leg out of its mix; `LegLeftMix` follows when it has faded out."""

    leg: int
    mix: int


class SendDigits(Message, frozen=True, tag=True, array_like=True):
    """Send keys: as telephone-events where they were negotiated, else as tones in the audio."""

    leg: int
    digits: str


class DetachLeg(Message, frozen=True, tag=True, array_like=True):
    """Give the leg back: `LegDetached` with its sockets and state follows (decision 14)."""

    leg: int


class AttachLeg(Message, frozen=True, tag=True, array_like=True):
    """Take over a detached leg with its sockets; `state` is opaque to the control process."""

    leg: int
    state: bytes


class Shutdown(Message, frozen=True, tag=True, array_like=True):
    """Exit after closing all legs."""


WorkerCommand = (
    OpenLeg
    | UpdateLeg
    | CloseLeg
    | StartSource
    | StopSource
    | OpenTap
    | CloseTap
    | PauseTap
    | JoinMix
    | LeaveMix
    | SendDigits
    | DetachLeg
    | AttachLeg
    | Shutdown
)


# Media worker -> control process


class Hello(Message, frozen=True, tag=True, array_like=True):
    """First message of every child."""

    version: int
    pid: int


class SourceEnded(Message, frozen=True, tag=True, array_like=True):
    """The last packet of a source has left, or it was stopped or replaced."""

    leg: int
    source: int
    completed: bool
    over_at: float
    "When it was over (monotonic seconds): after its last sample, or where it was stopped."


class DigitReceived(Message, frozen=True, tag=True, array_like=True):
    """A digit, once, at the first packet of its event (decision 18), or when its tone is sure."""

    leg: int
    digit: str
    at: float
    timestamp: int
    "RTP timestamp of the start of event or tone, for `CloseTap.at_timestamp`."


class TapStats(msgspec.Struct, frozen=True, array_like=True):
    """Facts about one tap, for the recording's health report."""

    packets_expected: int = 0
    packets_received: int = 0
    packets_late: int = 0
    packets_lost: int = 0
    absent_ms: int = 0
    paused_ms: int = 0


class TapClosed(Message, frozen=True, tag=True, array_like=True):
    """The row holds all of the tap: `n_samples` from its time zero."""

    leg: int
    tap: int
    row: int
    n_samples: int
    limit_reached: bool
    stats: TapStats


class LegLeftMix(Message, frozen=True, tag=True, array_like=True):
    """A leg is in no mix any more, or it changed to another."""

    leg: int
    mix: int
    concealed_ms: int
    "Audio of this leg that did not come in time, while it was in the mix."
    delay_ms: int
    "How long its audio waited, in the end, for what was late."


class LegSilent(Message, frozen=True, tag=True, array_like=True):
    """No RTP and no RTCP for 30 s (decision 11); repeated every 30 s while it lasts."""

    leg: int
    silent_s: float


class LegHeard(Message, frozen=True, tag=True, array_like=True):
    """The source of a leg's RTP was found: at its beginning, and where it changed."""

    leg: int
    source: tuple[str, int]
    ssrc: int


class LegClosed(Message, frozen=True, tag=True, array_like=True):
    """The last that is told of a leg: its counters since it was opened, wherever it was."""

    leg: int
    codec: str
    source: tuple[str, int] | None
    "From where RTP came last."
    ssrc: int
    packets_expected: int
    packets_received: int
    packets_late: int
    jitter_ms: float
    packets_sent: int


class LegDetached(Message, frozen=True, tag=True, array_like=True):
    """The leg's sockets (RTP, RTCP) ride along."""

    leg: int
    state: bytes


class WorkerStats(Message, frozen=True, tag=True, array_like=True):
    """Once a second: how the worker is doing."""

    legs: int
    tick_late_p99_ms: float
    tick_late_max_ms: float
    busy_share: float
    "Share of wall time spent working, 0 to 1."
    packets_received: int
    packets_sent: int
    packets_dropped: int
    late_histogram: list[int] = []
    "Ticks of this second by how late they began; the edges are in `lateness.EDGES_MS`."
    taps: int = 0
    mixes: int = 0


WorkerEvent = (
    Hello
    | SourceEnded
    | DigitReceived
    | TapClosed
    | LegLeftMix
    | LegSilent
    | LegHeard
    | LegClosed
    | LegDetached
    | WorkerStats
)


# Control process <-> keeper


class WatchArena(Message, frozen=True, tag=True, array_like=True):
    """Map this arena file of a worker."""

    worker: int
    path: str


class KeepRow(Message, frozen=True, tag=True, array_like=True):
    """Append this row to this spool from now on (see `spool.py` for its layout)."""

    worker: int
    row: int
    name: str
    spool_path: str
    law: str
    '`"PCMU"` or `"PCMA"`.'


class FlushRow(Message, frozen=True, tag=True, array_like=True):
    """
    Write all of the row up to `n_samples` (`None`: as far as it was placed), sync, release it.

    `RowFlushed` answers.
    """

    worker: int
    row: int
    name: str
    n_samples: int | None


KeeperCommand = WatchArena | KeepRow | FlushRow | Shutdown


class RowFlushed(Message, frozen=True, tag=True, array_like=True):
    """The spool is complete and synced; the row is free again."""

    worker: int
    row: int
    name: str
    n_samples: int


KeeperEvent = Hello | RowFlushed
