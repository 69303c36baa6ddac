"""Parameters behind a `;`, as headers and URIs carry them: ordered, unknown ones kept verbatim."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.grammar import BLANKS, split_outside_quotes, unquote

MAX_PARAMETERS: Final = 256
"More in one value is an attack: real ones carry fewer than twenty."


@dataclass(frozen=True, slots=True)
class Parameters:
    """
    An ordered list of `;name` and `;name=value`.

    Names are compared without regard to case and written as they came; values keep their quotes
    inside and lose them in `get`.
    """

    pairs: tuple[tuple[str, str | None], ...] = ()
    'Name and raw value, e.g. `(("tag", "as3f"), ("lr", None))`.'

    @classmethod
    def parse(cls, text: str) -> Parameters:
        """
        Read `;a=b;c`; the first `;` may be missing, empty parameters (`;;`) are skipped.

        Raises:
            RemoteSipError: 400 for an unclosed quote, a value without name, or too many.
        """
        if not text:
            return NO_PARAMETERS
        if text.count(";") > 8 * MAX_PARAMETERS:
            raise RemoteSipError("too many parameters")
        pairs: list[tuple[str, str | None]] = []
        for part in split_outside_quotes(text, ";"):
            name, equals, value = part.partition("=")
            name = name.strip(BLANKS)
            if not name:
                if equals:
                    raise RemoteSipError("a parameter without name")
                continue
            if len(pairs) == MAX_PARAMETERS:
                raise RemoteSipError("too many parameters")
            pairs.append((name, value.strip(BLANKS) if equals else None))
        return cls(tuple(pairs))

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str | None]]) -> Parameters:
        """Parameters from pairs of name and raw value (`None`: no value)."""
        return cls(tuple(pairs))

    def get(self, name: str) -> str | None:
        """Value of the first parameter `name`, unquoted; `None` if absent or without value."""
        wanted = name.lower()
        for key, value in self.pairs:
            if key.lower() == wanted:
                return None if value is None else unquote(value)
        return None

    def with_value(self, name: str, value: str | None) -> Parameters:
        """A copy with `name` set, at its old place if it had one, else at the end."""
        wanted = name.lower()
        changed: list[tuple[str, str | None]] = []
        placed = False
        for key, old in self.pairs:
            if key.lower() != wanted:
                changed.append((key, old))
            elif not placed:
                changed.append((key, value))
                placed = True
        if not placed:
            changed.append((name, value))
        return Parameters(tuple(changed))

    def without(self, name: str) -> Parameters:
        """A copy without any parameter `name`."""
        wanted = name.lower()
        return Parameters(tuple(pair for pair in self.pairs if pair[0].lower() != wanted))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(key.lower() == name.lower() for key, _ in self.pairs)

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __str__(self) -> str:
        return "".join(f";{k}" if v is None else f";{k}={v}" for k, v in self.pairs)


NO_PARAMETERS: Final = Parameters()
