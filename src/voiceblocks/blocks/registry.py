"""Everything that can be asked for, by its path below `/open/`.

A new block or request is its file and one line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from voiceblocks.blocks.call import CallCommand
from voiceblocks.blocks.command import BlockKind, BlockRequest, Command, Request
from voiceblocks.blocks.conference import ConferenceCommand
from voiceblocks.blocks.delete_recording import DeleteRecordingCommand
from voiceblocks.blocks.dial import DialCommand
from voiceblocks.blocks.gather import GatherCommand
from voiceblocks.blocks.get_active import GetActiveCommand
from voiceblocks.blocks.get_balance import GetBalanceCommand
from voiceblocks.blocks.get_choices import GetChoicesCommand
from voiceblocks.blocks.get_countries import GetCountriesCommand
from voiceblocks.blocks.get_history import GetHistoryCommand
from voiceblocks.blocks.get_info import GetInfoCommand
from voiceblocks.blocks.get_rate import GetRateCommand
from voiceblocks.blocks.get_rates import GetRatesCommand
from voiceblocks.blocks.hangup import HangupCommand
from voiceblocks.blocks.hold import HoldCommand
from voiceblocks.blocks.moderate import ModerateCommand
from voiceblocks.blocks.monitor import MonitorCommand
from voiceblocks.blocks.pause_recording import PauseRecordingCommand
from voiceblocks.blocks.play import PlayCommand
from voiceblocks.blocks.query_status import QueryStatusCommand
from voiceblocks.blocks.record import RecordCommand
from voiceblocks.blocks.recording_health import RecordingHealthCommand
from voiceblocks.blocks.renew_link import RenewLinkCommand
from voiceblocks.blocks.resume_recording import ResumeRecordingCommand
from voiceblocks.blocks.revoke_links import RevokeLinksCommand
from voiceblocks.blocks.subscribe import SubscribeCommand
from voiceblocks.blocks.transfer import TransferCommand
from voiceblocks.blocks.unhold import UnholdCommand
from voiceblocks.blocks.update_forwarding import UpdateForwardingCommand
from voiceblocks.blocks.voice_hangup import VoiceHangupCommand

_B_co = TypeVar("_B_co", bound=BlockRequest, covariant=True)


@dataclass(frozen=True, slots=True)
class BlockEntry(Generic[_B_co]):
    """One block: how it is read, and where in a call it may come."""

    command: type[_B_co]
    kind: BlockKind


SESSION_BLOCKS: Final = MappingProxyType[str, BlockEntry[Command]](
    {
        "ivr/middle/play": BlockEntry(PlayCommand, BlockKind.MIDDLE),
        "ivr/middle/gather": BlockEntry(GatherCommand, BlockKind.MIDDLE),
        "ivr/middle/record": BlockEntry(RecordCommand, BlockKind.MIDDLE),
        "ivr/middle/monitor": BlockEntry(MonitorCommand, BlockKind.MIDDLE),
        "ivr/middle/hold": BlockEntry(HoldCommand, BlockKind.MIDDLE),
        "ivr/middle/unhold": BlockEntry(UnholdCommand, BlockKind.MIDDLE),
        "ivr/end/transfer": BlockEntry(TransferCommand, BlockKind.END),
        "ivr/end/hangup": BlockEntry(HangupCommand, BlockKind.END),
    }
)
"Blocks for a call that exists: their commands name its session."

BLOCKS: Final = MappingProxyType[str, BlockEntry[BlockRequest]](
    {"ivr/start/dial": BlockEntry(DialCommand, BlockKind.START), **SESSION_BLOCKS}
)
"All blocks; a start block has no session yet."

REQUESTS: Final = MappingProxyType[str, type[Request]](
    {
        "voice/call": CallCommand,
        "voice/conference": ConferenceCommand,
        "conference/call": ConferenceCommand,
        "conference/moderate": ModerateCommand,
        "voice/hangup": VoiceHangupCommand,
        "voice/query_status": QueryStatusCommand,
        "voice/get_history": GetHistoryCommand,
        "voice/get_rate": GetRateCommand,
        "user/get_balance": GetBalanceCommand,
        "user/get_info": GetInfoCommand,
        "number/get_active": GetActiveCommand,
        "number/get_countries": GetCountriesCommand,
        "number/get_choices": GetChoicesCommand,
        "number/get_rates": GetRatesCommand,
        "number/subscribe": SubscribeCommand,
        "number/update_forwarding": UpdateForwardingCommand,
        "recording/pause": PauseRecordingCommand,
        "recording/resume": ResumeRecordingCommand,
        "recording/health": RecordingHealthCommand,
        "recording/link": RenewLinkCommand,
        "recording/revoke": RevokeLinksCommand,
        "recording/delete": DeleteRecordingCommand,
    }
)
"What is no block of a call that the application leads."

APIS: Final = MappingProxyType[str, type[Request]](
    {**{path: entry.command for path, entry in BLOCKS.items()}, **REQUESTS}
)
"Both together: every path there is."


def kind_of(block: str) -> BlockKind:
    """
    Where the block of this name comes in a call.

    Raises:
        KeyError: If there is no such block.
    """
    return _KINDS[block]


_KINDS: Final = MappingProxyType({entry.command.block: entry.kind for entry in BLOCKS.values()})
