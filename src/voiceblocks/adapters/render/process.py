"""A child of the render pool: `python -m … FD ROLE FOLDER [VOICES]`.

One thread doing one thing at a time, at low priority, so that speech and MP3s never
compete with calls. `ROLE` is `encode` (FOLDER: where MP3s go), `speech`, `piper` (VOICES:
the folder of its voices) or `files` (FOLDER: the prompt cache).
"""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

from voiceblocks import ipc
from voiceblocks.adapters.render.messages import ToChild

# A caller waits in silence for a new prompt, which is some 10 ms of work; the application of a
# live call waits for its recording; a Piper voice or a file may take seconds of work.
_NICENESS = {"speech": 1, "encode": 5, "piper": 7, "files": 10}


def _allow_open_files() -> None:
    """Two files for each followed recording: the usual soft limit of 1024 is soon met."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(argv: list[str]) -> int:
    """Serve until the other end closes."""
    channel: ipc.Channel[ToChild] = ipc.Channel(ipc.child_socket(argv), ToChild)
    role, folder = argv[2], Path(argv[3])
    ipc.set_niceness(_NICENESS[role])
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        if role == "encode":
            _allow_open_files()
            from voiceblocks.adapters.render.encoding import EncodeLoop

            EncodeLoop(channel, folder).run()
        else:
            from voiceblocks.adapters.render.cache import ClipCache
            from voiceblocks.adapters.render.rendering import RenderLoop, engine_for_role

            RenderLoop(channel, ClipCache(folder), engine_for_role(role, argv[4:])).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
