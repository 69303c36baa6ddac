"""The small parent of the process tree: starts the control process and restarts it.

It imports nothing of the product, so that there is little in it that could die. The
control process dies with it (PR_SET_PDEATHSIG), and the media processes with that.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType

EXIT_CANNOT_START = 78
"Exit code (sysexits' EX_CONFIG) of a control process that must not be started again."
SHORT_LIFE_S = 10.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0


def supervise() -> int:
    """
    Run the control process until it ends on purpose; return its exit code.

    SIGTERM (drain) and SIGINT (stop) are passed on; a crash restarts it, with growing
    pauses while it does not live long. One that cannot start is given up only if none
    has lived long before: what worked will work again when the database or the port is back.
    """
    # It is told who we are, so that it can see that we died before it could ask the
    # kernel to be killed with us.
    command = [sys.executable, "-m", "voiceblocks.server", str(os.getpid())]
    stopping = threading.Event()
    child: subprocess.Popen[bytes] | None = None

    def pass_on(signal_number: int, _frame: FrameType | None) -> None:
        stopping.set()
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal_number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    pause_s = FIRST_PAUSE_S
    has_lived = False
    while True:
        started = time.monotonic()
        # A session of its own: Ctrl-C at a terminal reaches it once, through us.
        child = subprocess.Popen(command, start_new_session=True)  # noqa: S603 (ours alone)
        if stopping.is_set():
            child.terminate()
        code = child.wait()
        if stopping.is_set():
            return 0
        # A start that fails late, on a busy machine, was no life.
        if code != EXIT_CANNOT_START and time.monotonic() - started > SHORT_LIFE_S:
            has_lived = True
            pause_s = FIRST_PAUSE_S
        if code == 0 or (code == EXIT_CANNOT_START and not has_lived):
            return code
        print(  # noqa: T201 (the supervisor has no logger on purpose)
            f"voiceblocks: the control process died ({code}); starting it again in {pause_s:.1f} s",
            file=sys.stderr,
            flush=True,
        )
        if stopping.wait(pause_s):
            return 0
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
