"""What is told of a recording that is ready."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voiceblocks.calls.events import EndReason
from voiceblocks.notifications.recording_words import (
    END_WORDS,
    RecordingFacts,
    record_parameters,
)

FACTS = RecordingFacts(
    url="http://u/",
    size_bytes=6000,
    duration_ms=2000,
    sha256="ab",
    end_reason="finish_key",
    packets=(100, 98, 1, 2),
    absent_ms=40,
    level_dbfs=-21.26,
    silent_ms=500,
    is_one_way=False,
)


def test_all_that_is_known() -> None:
    """Status and link as documented, then ours, in an order that stays."""
    assert record_parameters(FACTS) == [
        ("record_status", "success"),
        ("record_url", "http://u/"),
        ("record_bytes", "6000"),
        ("record_ms", "2000"),
        ("record_sha256", "ab"),
        ("record_end", "finish_key"),
        ("record_packets_expected", "100"),
        ("record_packets_received", "98"),
        ("record_packets_late", "1"),
        ("record_packets_lost", "2"),
        ("record_absent_ms", "40"),
        ("record_level_dbfs", "-21.3"),
        ("record_silence_percent", "25"),
        ("record_one_way", "no"),
    ]


def test_a_pause_is_told_where_there_was_one() -> None:
    """It counts in no share: half of what was heard was silent."""
    told = dict(record_parameters(replace(FACTS, paused_ms=1000)))
    assert told["record_paused_ms"] == "1000"
    assert told["record_silence_percent"] == "50"
    all_paused = dict(record_parameters(replace(FACTS, paused_ms=2000, silent_ms=0)))
    assert all_paused["record_silence_percent"] == "100"


def test_nothing_is_invented() -> None:
    """Of a failed one there is nothing; after a crash nobody knows the packets."""
    assert record_parameters(None) == [("record_status", "failed")]
    told = dict(record_parameters(replace(FACTS, packets=None), "monitor"))
    assert told["monitor_url"] == "http://u/"
    assert not [name for name in told if "packets" in name]


@pytest.mark.parametrize("reason", [r for r in EndReason if r is not EndReason.TIMEOUT])
def test_every_end_of_a_recording_has_a_word(reason: EndReason) -> None:
    """None that a receiver has never read of."""
    words = {"finish_key", "max_duration", "max_silence", "hangup", "server_restart"}
    assert END_WORDS[reason.value] in words
