"""A real Asterisk 22 as a phone: it dials, plays a file, sends digits and hears us.

`scripts/install-test-peers` unpacks it into a cache folder, without root and without
installing anything; here it is only started, bound to loopback, with a minimal configuration.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.interop.peers import free_port

FOLDER = Path(__file__).parent / "asterisk"
READY_LIMIT_S = 20.0
CLI_LIMIT_S = 10.0

_MODULES = (
    "res_timing_timerfd",
    "res_sorcery_config",
    "res_sorcery_memory",
    "res_sorcery_astdb",
    "res_pjproject",
    "res_pjsip",
    "res_pjsip_session",
    "res_pjsip_pubsub",
    "res_pjsip_sdp_rtp",
    "res_pjsip_caller_id",
    "res_pjsip_rfc3326",
    "res_pjsip_nat",
    "res_pjsip_acl",
    "res_pjsip_endpoint_identifier_ip",
    "res_pjsip_outbound_authenticator_digest",
    "res_rtp_asterisk",
    "chan_pjsip",
    "codec_ulaw",
    "codec_alaw",
    "format_pcm",
    "format_wav",
    "bridge_simple",
    "pbx_config",
    "res_clioriginate",
    "app_playback",
    "app_senddtmf",
    "app_mixmonitor",
)

_EMPTY = (
    "acl.conf",
    "ccss.conf",
    "cli.conf",
    "cli_permissions.conf",
    "codecs.conf",
    "dnsmgr.conf",
    "dsp.conf",
    "features.conf",
    "indications.conf",
    "pjproject.conf",
    "sorcery.conf",
    "stasis.conf",
    "udptl.conf",
)

_CONFIGURATION = {
    "asterisk.conf": """
[directories]
astetcdir => {run}/etc
astmoddir => {library}/asterisk/modules
astvarlibdir => {run}/var
astdbdir => {run}/var
astkeydir => {run}/var
astdatadir => {share}
astagidir => {run}/var
astspooldir => {run}/spool
astrundir => {run}
astlogdir => {run}/log
astsbindir => {run}
astcachedir => {run}/var
[options]
nocolor = yes
""",
    "logger.conf": "[general]\n[logfiles]\nmessages => notice,warning,error\n",
    "rtp.conf": "[general]\nrtpstart={rtp_first}\nrtpend={rtp_last}\nicesupport=no\n",
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


@dataclass
class AsteriskPhone:
    """
    One Asterisk process.

    Args:
        folder: For everything that it writes; `speech.wav` in it is what it speaks.
        codecs: What it offers, in its own words and order.
    """

    folder: Path
    codecs: str = "alaw"

    async def __aenter__(self) -> Self:
        """Start it and wait until it takes commands."""
        home = asterisk_home()
        _configure(self.folder, home, self.codecs)
        self._program = [str(home / "bin/asterisk"), "-C", str(self.folder / "etc/asterisk.conf")]
        self._process = await asyncio.create_subprocess_exec(
            str(FOLDER / "run-asterisk"), str(home), str(self.folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(READY_LIMIT_S):
            while "fully booted" not in await self.command("core waitfullybooted"):
                assert self._process.returncode is None, self.log()
                await asyncio.sleep(0.1)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Kill it."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def command(self, text: str) -> str:
        """What its console says to a command."""
        console = await asyncio.create_subprocess_exec(
            *self._program, "-rx", text,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(CLI_LIMIT_S):
            said, _ = await console.communicate()
        return said.decode(errors="replace")

    async def dial(self, uri: str) -> None:
        """Call `uri`; once answered, it speaks its file and presses `#`."""
        said = await self.command(
            f"channel originate PJSIP/voiceblocks/{uri} extension speak@phone"
        )
        assert "No such" not in said, said

    async def hung_up(self, limit_s: float = 10.0) -> None:
        """Wait until it has no call left."""
        try:
            async with asyncio.timeout(limit_s):
                count = "core show channels count"
                while "0 active channels" not in await self.command(count):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"Asterisk's call did not end\n{self.log()}") from None

    def log(self) -> str:
        """The end of its log."""
        path = self.folder / "log/messages"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""


def asterisk_home() -> Path:
    """Where Asterisk was unpacked; skips with what to do where it was not."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = Path(os.environ.get("TEST_ASTERISK_HOME") or cache / "voiceblocks/asterisk")
    if not (home / ".ok").exists():
        pytest.skip(
            f"Asterisk is missing: run scripts/install-test-peers, or "
            f"`tests/interop/asterisk/get-asterisk {home}` (Debian or Ubuntu, no root, 162 MB)"
        )
    return home


def _configure(run: Path, home: Path, codecs: str) -> None:
    for name in ("etc", "var", "spool", "log"):
        (run / name).mkdir(parents=True, exist_ok=True)
    library = next((home / "root/usr/lib").glob("*-linux-gnu"))
    rtp_first = free_port() & ~1
    values = {
        "run": run,
        "library": library,
        "share": home / "root/usr/share/asterisk",
        "sip_port": free_port(),
        "rtp_first": min(rtp_first, 65_000),
        "rtp_last": min(rtp_first, 65_000) + 40,
        "codecs": codecs,
    }
    for name, text in _CONFIGURATION.items():
        (run / "etc" / name).write_text(text.format(**values))
    modules = "".join(f"load = {module}.so\n" for module in _MODULES)
    (run / "etc/modules.conf").write_text(f"[modules]\nautoload = no\n{modules}")
    for name in ("cdr.conf", "cel.conf"):
        (run / "etc" / name).write_text("[general]\nenable=no\n")
    for name in ("manager.conf", "http.conf"):
        (run / "etc" / name).write_text("[general]\nenabled=no\n")
    for name in _EMPTY:
        (run / "etc" / name).touch()
