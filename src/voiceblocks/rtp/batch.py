"""RTP headers of many datagrams at once, as NumPy columns.

The worker receives each datagram into a row of one arena and compares the header words of
the whole batch with what it expects; only rows that differ are parsed one by one
(`packet.RtpPacket`). Plain headers only: version 2, no padding, extension or CSRC.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ROW_BYTES = 1536
"Room for one datagram; larger ones are no audio of ours."

PLAIN = 0x80000000
"First header word of a plain packet with payload type 0 and sequence number 0."

MARKER = 0x00800000
_WITHOUT_MARKER = np.uint32(0xFF7FFFFF)

Words = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]


def new_arena(n_rows: int) -> Bytes:
    """Rows to receive into: uint8, `(n_rows, ROW_BYTES)`."""
    return np.zeros((n_rows, ROW_BYTES), np.uint8)


def header_words(arena: Bytes, count: int) -> tuple[Words, Words, Words]:
    """
    Read the headers of the first `count` rows.

    Returns:
        Three arrays uint32, `(count,)`: version to sequence number without the marker bit,
        timestamp, SSRC. What they hold for rows shorter than a header means nothing.
    """
    words = arena[:count, :12].view(">u4").astype(np.uint32)
    return words[:, 0] & _WITHOUT_MARKER, words[:, 1], words[:, 2]


def first_word(payload_type: int, sequence: int) -> int:
    """The first header word of a plain packet."""
    return PLAIN | payload_type << 16 | sequence


def sliding_windows(flat: Bytes, length: int) -> Bytes:
    """
    A writable view `w` of `flat` in which `w[i]` is `flat[i : i + length]`.

    One fancy assignment to it writes many payloads at any byte positions.
    """
    return np.lib.stride_tricks.as_strided(
        flat, shape=(len(flat) - length + 1, length), strides=(1, 1), writeable=True
    )
