"""All blocks that can be asked for, by their path below `/open/`.

A new block is its file and one line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from voiceblocks.blocks.command import BlockKind, Command
from voiceblocks.blocks.gather import GatherCommand
from voiceblocks.blocks.hangup import HangupCommand
from voiceblocks.blocks.play import PlayCommand
from voiceblocks.blocks.record import RecordCommand


@dataclass(frozen=True, slots=True)
class BlockEntry:
    """One block: how it is read, and where in a call it may come."""

    command: type[Command]
    kind: BlockKind


BLOCKS: Final = MappingProxyType(
    {
        "ivr/middle/play": BlockEntry(PlayCommand, BlockKind.MIDDLE),
        "ivr/middle/gather": BlockEntry(GatherCommand, BlockKind.MIDDLE),
        "ivr/middle/record": BlockEntry(RecordCommand, BlockKind.MIDDLE),
        "ivr/end/hangup": BlockEntry(HangupCommand, BlockKind.END),
    }
)


def kind_of(block: str) -> BlockKind:
    """
    Where the block of this name comes in a call.

    Raises:
        KeyError: If there is no such block.
    """
    return _KINDS[block]


_KINDS: Final = MappingProxyType({entry.command.block: entry.kind for entry in BLOCKS.values()})
