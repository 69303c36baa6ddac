"""Which runner runs which block. Adding a block: one file beside this one and one line here."""

from __future__ import annotations

from collections.abc import Mapping

from voiceblocks.engine.runners.gather import GatherRunner
from voiceblocks.engine.runners.hangup import HangupRunner
from voiceblocks.engine.runners.interfaces import Runner
from voiceblocks.engine.runners.play import PlayRunner
from voiceblocks.engine.runners.record import RecordRunner

RUNNERS: Mapping[str, Runner] = {
    "play": PlayRunner(),
    "gather": GatherRunner(),
    "record": RecordRunner(),
    "hangup": HangupRunner(),
}
