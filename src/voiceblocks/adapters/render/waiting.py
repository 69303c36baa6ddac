"""Waiting for a message with a time limit, in a child that has other things to do."""

from __future__ import annotations

import select
from typing import Any

from voiceblocks import ipc


def readable(channel: ipc.Channel[Any], wait_s: float | None) -> bool:
    """Whether a message, or the end, arrives within `wait_s` (`None`: wait for ever)."""
    poller = select.poll()
    poller.register(channel.fileno(), select.POLLIN)
    return bool(poller.poll(None if wait_s is None else wait_s * 1000))
