"""`conference/moderate`: put a participant out of a room, or silence one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import Fields, Parameter
from voiceblocks.blocks.transactions import TXN_REF
from voiceblocks.errors import InvalidRequest
from voiceblocks.ids import TxnRef


class ModerateAction(StrEnum):
    """What is done to a participant."""

    KICK = "kick"
    MUTE = "mute"
    UNMUTE = "unmute"


def _read_action(fields: Fields) -> ModerateAction:
    try:
        return ModerateAction(fields.required("action").strip(" ").lower())
    except ValueError:
        raise InvalidRequest("error_action_invalid") from None


ACTION = Parameter(
    "action",
    _read_action,
    ("error_action_param_missing", "error_action_invalid"),
    "`kick` ends the participant's call, `mute` lets nobody hear them, `unmute` undoes that.",
    required=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModerateCommand:
    """Put a participant out of a room, or silence one."""

    block: ClassVar[str] = "moderate"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (TXN_REF, ACTION)

    txn_ref: TxnRef
    action: ModerateAction

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(txn_ref=TXN_REF.read(fields), action=ACTION.read(fields))
