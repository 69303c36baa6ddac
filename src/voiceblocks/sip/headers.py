"""The header block of a SIP message: names and raw values in wire order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from voiceblocks.errors import ContractViolation
from voiceblocks.sip.grammar import BLANKS, is_token, split_outside_quotes

COMPACT_FORMS: Final = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}
"IANA's registry of compact header names (RFC 3261 section 7.3.3 and later RFCs)."


def canonical_name(name: str) -> str:
    """Lower-case long form, the key under which a header is found: `"v"` is `"via"`."""
    key = name.lower()
    return COMPACT_FORMS.get(key, key)


class Headers:
    """
    An ordered multi-map of header name and raw value.

    Names are found in any case and in compact form, and are written as they came. Values are
    raw text without the blanks around it; folded lines are joined. Equality compares canonical
    names and values in order.
    """

    __slots__ = ("_lines",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._lines: list[tuple[str, str, str]] = []
        for name, value in pairs:
            self.add(name, value)

    @classmethod
    def from_wire(cls, pairs: Iterable[tuple[str, str]]) -> Headers:
        """Headers as a parser cut them; nothing is checked, blanks around values are gone."""
        headers = cls()
        headers._lines = [(canonical_name(name), name, value) for name, value in pairs]
        return headers

    def get(self, name: str) -> str | None:
        """Raw value of the first line with this name."""
        key = canonical_name(name)
        for line_key, _, value in self._lines:
            if line_key == key:
                return value
        return None

    def get_all(self, name: str) -> list[str]:
        """Raw values of all lines with this name, commas unsplit."""
        key = canonical_name(name)
        return [value for line_key, _, value in self._lines if line_key == key]

    def values(self, name: str) -> list[str]:
        """
        All values of a comma-separated header over all its lines, trimmed, empty ones left out.

        Commas inside quoted strings and angle brackets do not separate. Not for headers whose
        grammar has bare commas (Authorization, Date, Subject).

        Raises:
            RemoteSipError: 400 for a quote or bracket that is never closed.
        """
        trimmed = (
            part.strip(BLANKS)
            for line in self.get_all(name)
            for part in split_outside_quotes(line, ",")
        )
        return [part for part in trimmed if part]

    def add(self, name: str, value: str) -> None:
        """
        Append a line.

        Raises:
            ContractViolation: The name is no token, or the value holds a line break.
        """
        self._lines.append(_line(name, value))

    def prepend(self, name: str, value: str) -> None:
        """
        Put a line before all others of this name, or first of all if there is none.

        Raises:
            ContractViolation: As for `add`.
        """
        line = _line(name, value)
        self._lines.insert(self._index(line[0]) or 0, line)

    def set(self, name: str, value: str) -> None:
        """
        Replace all lines of this name by one, at the place of the first and with its spelling.

        Raises:
            ContractViolation: As for `add`.
        """
        key, _, value = line = _line(name, value)
        at = self._index(key)
        if at is None:
            self._lines.append(line)
            return
        spelling = self._lines[at][1]
        kept = [old for old in self._lines[at + 1 :] if old[0] != key]
        self._lines[at:] = [(key, spelling, value), *kept]

    def replace_first(self, name: str, value: str) -> None:
        """
        Replace the first line of this name only; append it if there is none.

        Raises:
            ContractViolation: As for `add`.
        """
        key, _, value = line = _line(name, value)
        at = self._index(key)
        if at is None:
            self._lines.append(line)
        else:
            self._lines[at] = (key, self._lines[at][1], value)

    def remove(self, name: str) -> None:
        """Drop all lines of this name, if any."""
        key = canonical_name(name)
        self._lines = [line for line in self._lines if line[0] != key]

    def extend(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Append several lines, as `add` does."""
        for name, value in pairs:
            self.add(name, value)

    def lines(self, name: str) -> list[tuple[str, str]]:
        """Spelling and raw value of all lines with this name, for echoing them unchanged."""
        key = canonical_name(name)
        return [(spelling, value) for line_key, spelling, value in self._lines if line_key == key]

    def entries(self) -> Iterator[tuple[str, str, str]]:
        """Canonical name, spelling and raw value of every line."""
        return iter(self._lines)

    def copy(self) -> Headers:
        """An independent copy."""
        duplicate = Headers()
        duplicate._lines = list(self._lines)
        return duplicate

    def _index(self, key: str) -> int | None:
        for at, line in enumerate(self._lines):
            if line[0] == key:
                return at
        return None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter([(name, value) for _, name, value in self._lines])

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._index(canonical_name(name)) is not None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        mine = [(key, value) for key, _, value in self._lines]
        return mine == [(key, value) for key, _, value in other._lines]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({list(self)!r})"


def _line(name: str, value: str) -> tuple[str, str, str]:
    # Whatever reaches us over HTTP and ends up in a header must not start a new one.
    if not is_token(name):
        raise ContractViolation("a header name that is not a token")
    if "\r" in value or "\n" in value:
        raise ContractViolation(f"a line break in the header {name}")
    return canonical_name(name), name, value.strip(BLANKS)
