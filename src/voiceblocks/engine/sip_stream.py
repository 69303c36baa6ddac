"""One TCP connection of the SIP endpoint: bytes in, framed messages out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from voiceblocks.errors import RemoteSipError
from voiceblocks.log import get_logger
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.framing import KEEP_ALIVE_PING, PONG, StreamFramer

_log = get_logger("sip")

READ_BYTES = 16_384
# A peer that reads nothing for so long a queue is gone; its calls end by their timers.
MAX_UNSENT_BYTES = 1 << 20


class SipStream:
    """
    Owns the connection until either side closes it.

    Args:
        flow: Names this connection to the core.
        reader: Of an open connection.
        writer: Of the same connection.
        on_message: Called with each whole message.
        on_closed: Called once, when the connection is gone.
    """

    def __init__(
        self,
        flow: Flow,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_message: Callable[[bytes, Flow], None],
        on_closed: Callable[[Flow], None],
    ) -> None:
        self.flow = flow
        self._reader = reader
        self._writer = writer
        self._on_message = on_message
        self._on_closed = on_closed
        self._task = asyncio.get_running_loop().create_task(self._read())

    def send(self, data: bytes) -> None:
        """Queue bytes; a peer that stopped reading is cut off."""
        if self._writer.is_closing():
            return
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._writer.transport.abort()

    def close(self) -> None:
        """Close the connection; `on_closed` follows."""
        self._writer.close()
        self._task.cancel()

    async def _read(self) -> None:
        framer = StreamFramer()
        try:
            while data := await self._reader.read(READ_BYTES):
                framer.feed(data)
                while (frame := framer.next_message()) is not None:
                    if frame is KEEP_ALIVE_PING:
                        self.send(PONG)
                    else:
                        self._on_message(frame, self.flow)
        except RemoteSipError as error:
            _log.info("sip_stream_unreadable", reason=error.reason)
        except OSError:
            pass
        finally:
            self._writer.close()
            self._on_closed(self.flow)
