"""Which runner runs which block. Adding a block: one file beside this one and one line here."""

from __future__ import annotations

from collections.abc import Mapping

from voiceblocks.engine.runners.call import CallRunner
from voiceblocks.engine.runners.dial import DialRunner
from voiceblocks.engine.runners.gather import GatherRunner
from voiceblocks.engine.runners.hangup import HangupRunner
from voiceblocks.engine.runners.hold import HoldRunner
from voiceblocks.engine.runners.interfaces import Runner
from voiceblocks.engine.runners.monitor import MonitorRunner
from voiceblocks.engine.runners.play import PlayRunner
from voiceblocks.engine.runners.record import RecordRunner
from voiceblocks.engine.runners.transfer import TransferRunner
from voiceblocks.engine.runners.unhold import UnholdRunner

RUNNERS: Mapping[str, Runner] = {
    "dial": DialRunner(),
    "play": PlayRunner(),
    "gather": GatherRunner(),
    "record": RecordRunner(),
    "monitor": MonitorRunner(),
    "hold": HoldRunner(),
    "unhold": UnholdRunner(),
    "transfer": TransferRunner(),
    "hangup": HangupRunner(),
    "call": CallRunner(),
    "conference": CallRunner(),
}
