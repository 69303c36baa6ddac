"""When the kernel took a datagram, whenever we got to read it.

A process that is busy reads late. Where an instant decides how long a recording is, it is the
kernel's that counts.
"""

from __future__ import annotations

import fcntl
import struct
import time
from typing import Any, Final

_SIOCGSTAMPNS: Final = 0x8907
"socket(7) and linux/sockios.h: the arrival of the datagram that was read last, as a timespec."
_TIMESPEC: Final = struct.Struct("@qq")
_LONGEST_S: Final = 5.0
"Nothing waits longer; a stamp that is older was made before the clock was set."


class Arrivals:
    """
    Arrival times at one UDP socket, which must be read one datagram at a time.

    Args:
        sock: Its socket; one that knows no stamps (a simulated one, another system's) is fine.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        # The kernel begins to stamp when it is asked for the first time.
        self.last_s(0.0)

    def last_s(self, now: float) -> float:
        """The monotonic second at which the datagram read last came; `now` if nobody knows."""
        try:
            stamp = fcntl.ioctl(self._sock.fileno(), _SIOCGSTAMPNS, bytes(_TIMESPEC.size))
        except (OSError, ValueError, AttributeError):
            return now
        seconds, nanoseconds = _TIMESPEC.unpack(stamp)
        ago_s = time.time() - seconds - nanoseconds / 1e9
        return now - ago_s if 0 <= ago_s <= _LONGEST_S else now
