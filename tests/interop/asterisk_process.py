"""A real Asterisk 22 as a process, whatever part it plays: phone or trunk.

`scripts/install-test-peers` unpacks it into a cache folder, without root and without
installing anything; here it is only started, bound to loopback, with a minimal configuration.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.ports import free_port

FOLDER = Path(__file__).parent / "asterisk"
READY_LIMIT_S = 20.0
CLI_LIMIT_S = 10.0
RTP_PORTS = 200

MODULES = (
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
"What every part needs."

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
}


class AsteriskProcess:
    """
    One Asterisk process.

    Args:
        folder: For everything that it writes; its path must be short, a socket lies in it.
        configuration: Texts of `pjsip.conf` and `extensions.conf`, with `{run}` for the folder,
            `{sip_port}`, and what is in `values`.
        values: More values for these texts.
        modules: Modules to load beside `MODULES`.
    """

    def __init__(
        self,
        folder: Path,
        configuration: Mapping[str, str],
        values: Mapping[str, str],
        modules: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.sip_port = free_port()
        self._configuration = {**_CONFIGURATION, **configuration}
        self._values = values
        self._modules = (*MODULES, *modules)

    async def start(self) -> None:
        """Start it and wait until it takes commands; skips where Asterisk is missing."""
        home = asterisk_home()
        self._configure(home)
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

    async def kill(self) -> None:
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

    async def hung_up(self, limit_s: float = 10.0) -> None:
        """Wait until it has no call left."""
        try:
            async with asyncio.timeout(limit_s):
                count = "core show channels count"
                while "0 active channels" not in await self.command(count):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"Asterisk's call did not end\n{self.log()}") from None

    def log(self, last_bytes: int = 3000) -> str:
        """The end of its log."""
        path = self.folder / "log/messages"
        return path.read_text(errors="replace")[-last_bytes:] if path.exists() else ""

    def _configure(self, home: Path) -> None:
        run = self.folder
        for name in ("etc", "var", "spool", "log"):
            (run / name).mkdir(parents=True, exist_ok=True)
        rtp_first = min(free_port() & ~1, 65_000)
        values = {
            "run": run,
            "library": next((home / "root/usr/lib").glob("*-linux-gnu")),
            "share": home / "root/usr/share/asterisk",
            "sip_port": self.sip_port,
            "rtp_first": rtp_first,
            "rtp_last": rtp_first + RTP_PORTS,
            **self._values,
        }
        for name, text in self._configuration.items():
            for key, value in values.items():
                text = text.replace(f"{{{key}}}", str(value))
            (run / "etc" / name).write_text(text)
        modules = "".join(f"load = {module}.so\n" for module in self._modules)
        (run / "etc/modules.conf").write_text(f"[modules]\nautoload = no\n{modules}")
        for name in ("cdr.conf", "cel.conf"):
            (run / "etc" / name).write_text("[general]\nenable=no\n")
        for name in ("manager.conf", "http.conf"):
            (run / "etc" / name).write_text("[general]\nenabled=no\n")
        for name in _EMPTY:
            (run / "etc" / name).touch()


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
