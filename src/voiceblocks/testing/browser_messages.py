"""What the control process and the phone of a browser's call say to each other (`ipc`)."""

from __future__ import annotations

import msgspec


class Dial(msgspec.Struct, tag=True):
    """Call somebody; the first message, and sent once."""

    host: str
    "Our own address, for SIP and RTP."
    target: str
    "A SIP URI."
    caller: str
    "User part of From."


class Speak(msgspec.Struct, tag=True):
    """Say samples: PCM of 16 bits, little-endian, 8 kHz."""

    pcm: bytes


class Press(msgspec.Struct, tag=True):
    """Press a key (RFC 4733)."""

    key: str


class HangUp(msgspec.Struct, tag=True):
    """Hang up; `Ended` follows."""


class Rings(msgspec.Struct, tag=True):
    """A 180 or 183 came."""


class Answered(msgspec.Struct, tag=True):
    """The call is up."""


class Heard(msgspec.Struct, tag=True):
    """Samples came, as in `Speak`."""

    pcm: bytes


class Ended(msgspec.Struct, tag=True):
    """The call is over; the last message."""

    status: int | None
    "The final SIP status of a call that was not answered; `None` after one that was."


ToPhone = Dial | Speak | Press | HangUp
FromPhone = Rings | Answered | Heard | Ended
