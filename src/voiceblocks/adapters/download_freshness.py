"""How long a downloaded file may be used without asking, as its server's header says (RFC 9111).

We count as a private cache: the file was fetched for the application that named it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

FRESH_MAX_S = 86_400
"However far a server's `max-age` reaches, it is asked once a day."

_SECONDS = re.compile(r"[0-9]{1,10}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Freshness:
    """What an answer's header allows."""

    may_keep: bool
    "Whether another request may use it at all."
    fresh_s: int
    "How long it may be used without asking; 0 where the header does not say."
    may_outlive_failure: bool
    "Whether it may be used while its server cannot be asked."


def read_freshness(headers: Mapping[str, str]) -> Freshness:
    """
    Read `Cache-Control` and `Age`. `Expires` is not looked at: it needs clocks that agree.

    Args:
        headers: Of the answer, with names in any case.
    """
    directives = _directives(headers.get("Cache-Control", ""))
    age_s = _seconds(headers.get("Age", ""))
    fresh_s = max(0, min(_seconds(directives.get("max-age", "")) - age_s, FRESH_MAX_S))
    return Freshness(
        may_keep="no-store" not in directives,
        fresh_s=0 if "no-cache" in directives else fresh_s,
        may_outlive_failure=not {"no-cache", "must-revalidate"} & directives.keys(),
    )


def _directives(header: str) -> dict[str, str]:
    """Of a directive that stands twice the first counts."""
    found: dict[str, str] = {}
    for part in header.split(","):
        name, _, value = part.partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def _seconds(text: str) -> int:
    return int(text) if _SECONDS.match(text.strip()) else 0
