"""Processes that die between any two steps: each step burns a fuse."""

from __future__ import annotations

import inspect
from typing import Any

NEVER = 10**6


class Killed(BaseException):
    """The process is gone."""


class Fuse:
    """Kills at the end of the step with this number, counted from 1."""

    def __init__(self, length: int = NEVER) -> None:
        self._left = length

    def burn(self) -> None:
        """A step is done."""
        self._left -= 1
        if not self._left:
            raise Killed


class Mortal:
    """Whatever is wrapped may be its process's last step."""

    def __init__(self, inner: object, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        """The same, with a burning fuse."""
        method = getattr(self._inner, name)

        async def step_async(*args: Any, **named: Any) -> Any:
            result = await method(*args, **named)
            self._fuse.burn()
            return result

        def step(*args: Any, **named: Any) -> Any:
            result = method(*args, **named)
            self._fuse.burn()
            return result

        return step_async if inspect.iscoroutinefunction(method) else step
