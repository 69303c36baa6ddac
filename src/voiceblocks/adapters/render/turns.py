"""A queue in which whoever asks gets every n-th place, however many places others ask for."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """First come, first served among the things of one; those of different ones in turn."""

    def __init__(self) -> None:
        self._first: deque[T] = deque()
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._first or self._waiting)

    def __iter__(self) -> Iterator[T]:
        """In no particular order."""
        yield from self._first
        for things in self._waiting.values():
            yield from things

    def append(self, asked_by: str, thing: T) -> None:
        """Add a thing after all others of `asked_by`, who may be new."""
        self._waiting.setdefault(asked_by, deque()).append(thing)

    def put_back(self, things: Iterable[T]) -> None:
        """Add things that had their turn before: they come before all others, in their order."""
        self._first.extendleft(reversed(list(things)))

    def pop(self) -> T:
        """
        Take the next.

        Raises:
            KeyError: If there is none.
        """
        if self._first:
            return self._first.popleft()
        asked_by, things = self._waiting.popitem(last=False)
        thing = things.popleft()
        if things:
            self._waiting[asked_by] = things
        return thing

    def remove(self, thing: T) -> None:
        """Take out a thing, wherever it waits; one that does not is fine."""
        for asked_by, things in [("", self._first), *self._waiting.items()]:
            if thing in things:
                things.remove(thing)
                if not things and things is not self._first:
                    del self._waiting[asked_by]
                return

    def clear(self) -> None:
        """Take out all."""
        self._first.clear()
        self._waiting.clear()
