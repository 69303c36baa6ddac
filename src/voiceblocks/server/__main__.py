"""The control process: `python -m voiceblocks.server`, started by the supervisor."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys

import uvloop
from pydantic import ValidationError

from voiceblocks import log
from voiceblocks.errors import StartupError
from voiceblocks.ipc import die_with_parent
from voiceblocks.server.node import Node
from voiceblocks.server.supervisor import EXIT_CANNOT_START
from voiceblocks.settings import Settings


async def _serve(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    asked: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.put_nowait, number)
    node = Node(settings)
    await node.start()
    # What is here now stays. Walked by a full collection, our modules alone stop every call's
    # signalling for 150 ms and more; frozen, they are not looked at.
    gc.freeze()
    print(node.ready_line(), flush=True)  # noqa: T201 (the contract's one line when ready)
    first = await asked.get()
    if first is signal.SIGTERM:
        draining = loop.create_task(node.drain())
        # A second signal does not wait for the calls.
        waiting = loop.create_task(asked.get())
        await asyncio.wait({draining, waiting}, return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()
        waiting.cancel()
    await node.stop()


def main() -> int:
    """Run until a signal says otherwise; the exit code tells the supervisor what to do."""
    die_with_parent()
    if sys.argv[1:] and os.getppid() != int(sys.argv[1]):
        # The supervisor died while our modules were being read, so nobody would kill us.
        return EXIT_CANNOT_START
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            print(f"voiceblocks: VOICEBLOCKS_{name}: {problem['msg']}", file=sys.stderr)  # noqa: T201
        return EXIT_CANNOT_START
    log.configure(json=settings.log_json, level=settings.log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings))
    except StartupError as error:
        print(f"voiceblocks: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_CANNOT_START
    return 0


if __name__ == "__main__":
    sys.exit(main())
