"""Blocking code of an application beside a loop on virtual time: one of them runs, never both.

The code runs in a thread of its own, and the loop stands still meanwhile. Where the code asks the
API, the thread waits and the loop goes on until the answer is there. So what happens, and in which
order, depends on neither the scheduler nor on how fast the application is.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

_OWN = threading.local()


class _Ask:
    """A coroutine that the loop shall await for the thread."""

    def __init__(self, work: Callable[[], Awaitable[Any]]) -> None:
        self.work = work


class _Done:
    def __init__(self, result: Any, error: BaseException | None) -> None:
        self.result = result
        self.error = error


class _Thread:
    def __init__(self, fn: Callable[[], Any]) -> None:
        self._to_loop: SimpleQueue[_Ask | _Done] = SimpleQueue()
        self._to_thread: SimpleQueue[_Done] = SimpleQueue()
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run, fn), daemon=True)

    def _run(self, fn: Callable[[], Any]) -> None:
        _OWN.thread = self
        try:
            done = _Done(fn(), None)
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            done = _Done(None, error)
        self._to_loop.put(done)

    def ask(self, work: Callable[[], Awaitable[T]]) -> T:
        """In the thread: let the loop await something, and wait for it."""
        self._to_loop.put(_Ask(work))
        answer = self._to_thread.get()
        if answer.error is not None:
            raise answer.error
        result: T = answer.result
        return result

    async def serve(self) -> Any:
        """On the loop: run the thread to its end."""
        self._thread.start()
        while True:
            message = self._to_loop.get()
            if isinstance(message, _Done):
                self._thread.join()
                if message.error is not None:
                    raise message.error
                return message.result
            try:
                self._to_thread.put(_Done(await message.work(), None))
            except BaseException as error:
                self._to_thread.put(_Done(None, error))
                if not isinstance(error, Exception):
                    raise


async def run_in_step(fn: Callable[[], T]) -> T:
    """Run blocking code; its result or exception."""
    result: T = await _Thread(fn).serve()
    return result


def is_in_step() -> bool:
    """Whether this thread was started by `run_in_step`."""
    return getattr(_OWN, "thread", None) is not None


def ask_loop(work: Callable[[], Awaitable[T]]) -> T:
    """In such a thread: let the loop await `work`, and wait for its result."""
    thread: _Thread = _OWN.thread
    return thread.ask(work)
