"""How far long work is: a bar on standard error where somebody looks, and nothing for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import Progress, TextColumn, track

T_co = TypeVar("T_co", covariant=True)


class Countable(Sized, Iterable[T_co], Protocol[T_co]):
    """What can be gone through, and knows how long it is."""


def shown(items: Countable[T_co], verb: str, *, as_json: bool) -> Iterable[T_co]:
    """Go through `items` with a bar that says how many there are still."""
    console = Console(stderr=True)
    return track(
        items,
        verb,
        total=len(items),
        console=console,
        disable=_is_hidden(console, as_json),
        transient=True,
    )


@contextmanager
def bar(verb: str, *, as_json: bool, facts: bool = False) -> Iterator[Progress]:
    """
    Show the tasks that are added.

    Args:
        verb: Of the one task that it begins with, whose id is 0.
        as_json: A script reads along: nothing is shown.
        facts: A last column shows the task's field `found`.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), *Progress.get_default_columns()[1:])
    more = (TextColumn("{task.fields[found]}"),) if facts else ()
    hidden = _is_hidden(console, as_json)
    with Progress(*columns, *more, console=console, transient=True, disable=hidden) as made:
        made.add_task(verb, total=None, found="")
        yield made


def _is_hidden(console: Console, as_json: bool) -> bool:
    return as_json or not console.is_terminal
