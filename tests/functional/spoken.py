"""Messages whose every second is known when it is heard: tone code on a web server."""

from __future__ import annotations

import io
from types import TracebackType
from typing import Self

import soundfile
from aiohttp import web

from voiceblocks.testing import tone_code


class Spoken:
    """
    A web server with files of tone code.

    ```
    async with Spoken() as spoken:
        await app.play(session, spoken.msg(0, 2))
        ...
        assert not tone_code.check(call.media.audio(), 0, 2, starts_at_ms)
    ```
    """

    def __init__(self) -> None:
        self._base = ""
        site = web.Application()
        site.add_routes([web.get("/{first}-{count}.wav", _serve)])
        self._runner = web.AppRunner(site)

    async def __aenter__(self) -> Self:
        """Open it."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._base = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        await self._runner.cleanup()

    def msg(self, first: int, count: int) -> str:
        """A `msg` of so many seconds, from that one on."""
        return f"<url>{self._base}/{first}-{count}.wav</url>"


async def _serve(request: web.Request) -> web.Response:
    first, count = int(request.match_info["first"]), int(request.match_info["count"])
    held = io.BytesIO()
    soundfile.write(held, tone_code.encode_seconds(first, count), 8000, format="WAV")
    return web.Response(body=held.getvalue())
