"""How a call's end is called towards applications: one table, ours to the documented words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ONGOING = "ongoing"
"Of a call, or a leg, that has not ended."

STATUS_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "answered": "answered",
        "busy": "busy",
        "rejected": "busy",
        "no_answer": "unanswered",
        "cancelled": "unanswered",
        "failed": "failed",
    }
)
"Value of `calls.events.Disposition` -> `dial_status`, `transfer_status`, `call_status_dest…`."

_REACHING_BLOCKS = frozenset({"dial", "transfer"})


def status_word(disposition: str | None) -> str:
    """Return the documented word for how somebody was reached; `ongoing` while that is open."""
    return ONGOING if disposition is None else STATUS_WORDS[disposition]


def reached_parameters(block: str, disposition: str) -> list[tuple[str, str]]:
    """
    What a dial or transfer tells of the far end; nothing for other blocks.

    `…_cause` is ours: it keeps apart what the documented word does not, such as a rejected
    call from a busy phone.
    """
    if block not in _REACHING_BLOCKS:
        return []
    return [(f"{block}_status", status_word(disposition)), (f"{block}_cause", disposition)]
