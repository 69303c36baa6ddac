"""The table of decision 10: why a call is not taken, and the SIP answer for that.

The words are those of `voiceblocks.calls.events.Refusal`, as plain strings, since SIP lies
below the calls; a test compares both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_RETRY_AFTER_S = 10
"A full or draining node has room again when a call ends; carriers try the next node anyway."


@dataclass(frozen=True, slots=True)
class RefusalAnswer:
    """A final response to an INVITE that is not taken."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()


REFUSALS: Mapping[str, RefusalAnswer] = MappingProxyType(
    {
        "unknown_number": RefusalAnswer(404),
        "no_application": RefusalAnswer(480),
        "account_busy": RefusalAnswer(486),
        "node_full": RefusalAnswer(503, (("Retry-After", str(_RETRY_AFTER_S)),)),
        "no_credit": RefusalAnswer(603),
        "not_for_trial": RefusalAnswer(603),
        "hung_up": RefusalAnswer(603),
    }
)
"""Refusal to answer; a known number rings (180) instead, see `UserAgent.ring`."""
