"""What a workflow hands to the engine to run one block."""

from __future__ import annotations

from dataclasses import dataclass

from voiceblocks.blocks.command import Command
from voiceblocks.speech.interfaces import Clip


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """One block, checked and stored, with its prompt already rendered."""

    session_id: str
    run_id: str
    command: Command
    prompt: tuple[Clip, ...]
    "What the block says first; empty where it says nothing."
    beep: Clip | None = None
    recording_name: str | None = None
    "Name of the spool, for blocks that record."
    hangs_up_after: bool = False
    "Without notify_url a block plays its prompt and the call ends (decision 3)."
