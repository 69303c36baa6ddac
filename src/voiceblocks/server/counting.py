"""The node's calls, recordings and notifications as counters: whoever handles them, counted."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from voiceblocks.adapters.webhook_client import WebhookClient
from voiceblocks.calls.events import (
    AcceptedCall,
    BlockFinished,
    CallEnded,
    Disposition,
    EndReason,
    IncomingCall,
    MonitorEnded,
    RecordedAudio,
    Refusal,
)
from voiceblocks.notifications.interfaces import WebhookResult
from voiceblocks.workflows.handle_call_events import HandleCallEvents

_FINISH_BUCKETS_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)
_FATES = ("received", "late", "lost")
_NO_ANSWER = "none"
_ATTEMPT_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class CountedCallEvents(HandleCallEvents):
    """
    What the engine tells, counted on its way into the database.

    Args:
        registry: Where the counters are shown.
        parts: Of `HandleCallEvents`.
    """

    def __init__(self, registry: CollectorRegistry, **parts: Any) -> None:
        super().__init__(**parts)
        self._calls = _counter(
            registry, "voiceblocks_calls", "Calls that ended.", "disposition", Disposition
        )
        self._refused = _counter(
            registry, "voiceblocks_calls_refused", "Calls that were not taken.", "reason", Refusal
        )
        self._blocks = _counter(
            registry, "voiceblocks_blocks", "Blocks that ended.", "reason", EndReason
        )
        self._packets = _counter(
            registry,
            "voiceblocks_recorded_packets",
            "RTP packets of callers while they were recorded.",
            "fate",
            _FATES,
        )
        self._finishing_s = Histogram(
            "voiceblocks_recording_finish_seconds",
            "From the end of a recording to the commit that says it is ready.",
            registry=registry,
            buckets=_FINISH_BUCKETS_S,
        )

    async def on_incoming_call(self, call: IncomingCall) -> AcceptedCall | Refusal:
        """Also count what is not taken."""
        decision = await super().on_incoming_call(call)
        if isinstance(decision, Refusal):
            self._refused.labels(decision.value).inc()
        return decision

    async def on_block_finished(self, event: BlockFinished) -> None:
        """Also count the block, and how long its recording took."""
        began = time.monotonic()
        await super().on_block_finished(event)
        self._blocks.labels(event.reason.value).inc()
        if event.audio is not None:
            self._note_recording(event.audio, began)

    async def on_call_ended(self, event: CallEnded) -> None:
        """Also count the call."""
        await super().on_call_ended(event)
        self._calls.labels(event.disposition.value).inc()

    async def on_monitor_ended(self, event: MonitorEnded) -> None:
        """Also count the caller's side."""
        began = time.monotonic()
        await super().on_monitor_ended(event)
        self._note_recording(event.caller, began)

    def _note_recording(self, audio: RecordedAudio, began: float) -> None:
        self._finishing_s.observe(time.monotonic() - began)
        self._packets.labels("received").inc(audio.packets_received)
        self._packets.labels("late").inc(audio.packets_late)
        self._packets.labels("lost").inc(audio.packets_lost)


def _counter(
    registry: CollectorRegistry, name: str, text: str, label: str, values: Iterable[str]
) -> Counter:
    """A counter whose series are all there from the start: a rate of what is missing is no 0."""
    made = Counter(name, text, [label], registry=registry)
    for value in values:
        made.labels(str(value))
    return made


class CountedWebhookClient(WebhookClient):
    """
    Sends notifications, and counts what was answered.

    Args:
        registry: Where the counters are shown.
        parts: Of `WebhookClient`.
    """

    def __init__(self, registry: CollectorRegistry, *parts: Any) -> None:
        super().__init__(*parts)
        self._attempts = Histogram(
            "voiceblocks_notification_attempt_seconds",
            "HTTP requests of notifications, by the class of their answer.",
            ["answer"],
            registry=registry,
            buckets=_ATTEMPT_BUCKETS_S,
        )
        for answer in (_NO_ANSWER, "2xx", "3xx", "4xx", "5xx"):
            self._attempts.labels(answer)

    async def send(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float
    ) -> WebhookResult:
        """Also count."""
        result = await super().send(url, body, headers, timeout_s=timeout_s)
        status = result.http_status
        answer = _NO_ANSWER if status is None else f"{status // 100}xx"
        self._attempts.labels(answer).observe(result.latency_ms / 1000)
        return result
