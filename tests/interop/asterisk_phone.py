"""A real Asterisk 22 as a phone: it dials, plays a file, sends digits and hears us."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from tests.interop.asterisk_process import AsteriskProcess

_CONFIGURATION = {
    "pjsip.conf": """
[system]
type=system
disable_tcp_switch=yes
[udp]
type=transport
protocol=udp
bind=127.0.0.1:{sip_port}
[voiceblocks]
type=endpoint
transport=udp
context=phone
disallow=all
allow={codecs}
dtmf_mode=rfc4733
direct_media=no
from_user=+6591234567
from_domain=127.0.0.1
media_address=127.0.0.1
bind_rtp_to_media_address=yes
""",
    "extensions.conf": """
[phone]
exten => speak,1,MixMonitor({run}/both.wav,r({run}/heard.wav))
 same => n,Playback({run}/speech)
 same => n,SendDTMF(#)
 same => n,Wait(30)
 same => n,Hangup()
""",
}


class AsteriskPhone(AsteriskProcess):
    """
    One Asterisk process that makes calls.

    Args:
        folder: For everything that it writes; `speech.wav` in it is what it speaks.
        codecs: What it offers, in its own words and order.
    """

    def __init__(self, folder: Path, codecs: str = "alaw") -> None:
        super().__init__(folder, _CONFIGURATION, {"codecs": codecs})

    async def __aenter__(self) -> Self:
        """Start it and wait until it takes commands."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Kill it."""
        await self.kill()

    async def dial(self, uri: str) -> None:
        """Call `uri`; once answered, it speaks its file and presses `#`."""
        said = await self.command(
            f"channel originate PJSIP/voiceblocks/{uri} extension speak@phone"
        )
        assert "No such" not in said, said
