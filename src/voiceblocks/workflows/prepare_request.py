"""What a request needs before it can be accepted: its sounds, and a look at its notify_urls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from voiceblocks import e164
from voiceblocks.blocks.msg import Part
from voiceblocks.speech.interfaces import Clip, PromptRenderer
from voiceblocks.workflows.prepare_prompts import PromptPreparer


class NotifyUrlCheck(Protocol):
    """Looks at a notify_url before the request is accepted (decision 22)."""

    async def check(self, url: str) -> None:
        """Raise `InvalidRequest` if its host is not allowed, not found or has bad TLS."""
        ...


class RequestPreparer:
    """
    Does what takes time, before the transaction that accepts.

    Args:
        prompts: Renders `msg`.
        renderer: Gives the beep, ring tones and hold music.
        notify_urls: Looks at notify_url.
    """

    def __init__(
        self, prompts: PromptPreparer, renderer: PromptRenderer, notify_urls: NotifyUrlCheck
    ) -> None:
        self._prompts = prompts
        self._renderer = renderer
        self._notify_urls = notify_urls

    async def prepare(
        self, account_id: str, msg: Sequence[Part], urls: Sequence[str | None]
    ) -> tuple[Clip, ...]:
        """
        Render `msg` of a request of `account_id`, and look at the addresses together.

        Raises:
            InvalidRequest: The errors of `msg` before those of the addresses, as the page
                lists them.
        """
        if not msg and not any(urls):
            return ()
        rendering = asyncio.ensure_future(self._prompts.prepare(msg, account_id))
        checking = [
            asyncio.ensure_future(self._notify_urls.check(url))
            for url in dict.fromkeys(urls)
            if url is not None
        ]
        try:
            clips = await rendering
            for check in checking:
                await check
        finally:
            for task in (rendering, *checking):
                task.cancel()
            await asyncio.gather(rendering, *checking, return_exceptions=True)
        return tuple(clips)

    async def beep(self) -> Clip:
        """The tone before a recording."""
        return await self._renderer.beep()

    async def hold_music(self) -> Clip:
        """What a hold without `msg` plays."""
        return await self._renderer.hold_music()

    async def ring_tone(self, dest: str) -> Clip:
        """What the caller hears while `dest` rings: the tone of its country."""
        return await self._renderer.ring_tone(e164.country_of(dest) or "")
