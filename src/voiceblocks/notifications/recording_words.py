"""What a notification says of a recording that is ready: extensions of ours behind the link.

`record_end` has one word for each way in which a recording ends; towards the application it is
the same whether the caller hung up or was hung up on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

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
    ]
    if facts.packets is not None:
        names = ("packets_expected", "packets_received", "packets_late", "packets_lost")
        told += zip(names, map(str, facts.packets), strict=True)
    told.append(("absent_ms", str(facts.absent_ms)))
    if facts.level_dbfs is not None:
        told.append(("level_dbfs", f"{facts.level_dbfs:.1f}"))
    if facts.silent_ms is not None:
        silent = round(100 * facts.silent_ms / facts.duration_ms) if facts.duration_ms else 100
        told.append(("silence_percent", str(min(silent, 100))))
    told.append(("one_way", "yes" if facts.is_one_way else "no"))
    return [(f"{prefix}_{name}", value) for name, value in told]
