"""What a notification says of a recording that is ready: extensions of ours behind the link.

`record_end` has one word for each way in which a recording ends; towards the application it is
the same whether the caller hung up or was hung up on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

END_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "finish_key": "finish_key",
        "max_duration": "max_duration",
        "max_silence": "max_silence",
        "hangup": "hangup",
        "forced": "hangup",
        "completed": "hangup",
        "credit_used_up": "hangup",
        "server_restart": "server_restart",
    }
)
"Value of `calls.events.EndReason` -> `record_end`, `monitor_end`."


class Health(Protocol):
    """How well a recording came in; `None` for what was not measured."""

    @property
    def packets(self) -> tuple[int, int, int, int] | None:
        """Expected, received, late, lost."""
        ...

    @property
    def duration_ms(self) -> int | None:
        """Of the file."""
        ...

    @property
    def absent_ms(self) -> int | None:
        """For which nothing came from the network."""
        ...

    @property
    def silent_ms(self) -> int | None:
        """Silence, what is absent too."""
        ...

    @property
    def level_dbfs(self) -> float | None:
        """Of what is not silence."""
        ...

    @property
    def paused_ms(self) -> int | None:
        """In which it was paused."""
        ...

    @property
    def is_one_way(self) -> bool | None:
        """Whether next to nothing came from the caller."""
        ...


@dataclass(frozen=True, slots=True)
class RecordingFacts:
    """A recording that was stored, read back and found right."""

    url: str
    size_bytes: int
    duration_ms: int
    "Of the file: shorter than the time that passed where silence is trimmed."
    sha256: str
    end_reason: str
    packets: tuple[int, int, int, int] | None
    "Expected, received, late, lost; `None` after a crash, which they do not survive."
    absent_ms: int
    level_dbfs: float | None
    "`None`, as the next, where nobody here can hear it: it is sealed."
    silent_ms: int | None
    is_one_way: bool
    paused_ms: int = 0


def record_parameters(
    facts: RecordingFacts | None, prefix: str = "record"
) -> list[tuple[str, str]]:
    """
    What is told of a recording; without facts it failed.

    Args:
        facts: Of the stored recording.
        prefix: `record` or `monitor`: how each name begins.
    """
    if facts is None:
        return [(f"{prefix}_status", "failed")]
    told = [
        ("status", "success"),
        ("url", facts.url),
        ("bytes", str(facts.size_bytes)),
        ("ms", str(facts.duration_ms)),
        ("sha256", facts.sha256),
        ("end", END_WORDS[facts.end_reason]),
        *health_words(facts),
    ]
    return [(f"{prefix}_{name}", value) for name, value in told]


def health_words(health: Health) -> list[tuple[str, str]]:
    """How well it came in, without what is not known: names and values, as they are told."""
    told: list[tuple[str, str]] = []
    if health.packets is not None:
        names = ("packets_expected", "packets_received", "packets_late", "packets_lost")
        told += zip(names, map(str, health.packets), strict=True)
    if health.absent_ms is not None:
        told.append(("absent_ms", str(health.absent_ms)))
    if health.paused_ms:
        told.append(("paused_ms", str(health.paused_ms)))
    if health.level_dbfs is not None:
        told.append(("level_dbfs", f"{health.level_dbfs:.1f}"))
    heard_ms = (health.duration_ms or 0) - (health.paused_ms or 0)
    if (percent := silence_percent(health.silent_ms, heard_ms)) is not None:
        told.append(("silence_percent", str(percent)))
    if health.is_one_way is not None:
        told.append(("one_way", "yes" if health.is_one_way else "no"))
    return told


def silence_percent(silent_ms: int | None, duration_ms: int) -> int | None:
    """The share of silence; all of nothing is silent, and of what was never measured none is."""
    if silent_ms is None:
        return None
    return min(round(100 * silent_ms / duration_ms), 100) if duration_ms > 0 else 100
