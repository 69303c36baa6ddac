"""`voice/query_status`: what became of a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import Fields, Parameter
from voiceblocks.blocks.transactions import TXN_REF
from voiceblocks.ids import TxnRef


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryStatusCommand:
    """Ask what became of a call."""

    block: ClassVar[str] = "query_status"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (TXN_REF,)

    txn_ref: TxnRef

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(txn_ref=TXN_REF.read(fields))
