"""baresip as a phone without a sound card, driven over its control connection.

It speaks a WAV file from the moment the call is answered (`aufile`), and writes what it
hears to a WAV file as it comes (`sndfile`). All its modules are in Debian's `baresip-core`.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from tests.interop import audio
from tests.interop.peers import START_LIMIT_S, need, until
from tests.ports import free_port

NUMBER = "+6591234567"

COMMAND_LIMIT_S = 5.0

_MODULE_FOLDERS = ("/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules")
_WAV_HEADER_BYTES = 44

_CONFIG = """\
sip_listen 127.0.0.1:{sip_port}
net_interface 127.0.0.1
rtp_ports {rtp_first}-{rtp_last}
audio_source aufile,{speech}
audio_player aubridge,nil
audio_alert aubridge,nil
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
snd_path {folder}
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control_port}
"""


@dataclass
class Baresip:
    """
    One baresip process.

    Args:
        folder: For its configuration and what it heard.
        speech: 8 kHz mono 16-bit WAV that it speaks once answered.
        codecs: What it offers, in its own words, such as `PCMU` or `PCMA,PCMU`.
    """

    folder: Path
    speech: Path
    codecs: str = "PCMU"
    events: list[dict[str, Any]] = field(default_factory=list)
    "All that it told over its control connection, with the loop's time as `at`."
    address: str = ""
    "Where it takes calls for `NUMBER`, once it runs."

    async def __aenter__(self) -> Self:
        """Start it and connect to it."""
        program = need("baresip", "baresip-core")
        modules = _modules()
        control_port = free_port()
        rtp_first = free_port() & ~1
        sip_port = _two_free_ports()
        self.address = f"127.0.0.1:{sip_port}"
        config = _CONFIG.format(
            sip_port=sip_port,
            control_port=control_port,
            rtp_first=rtp_first,
            rtp_last=rtp_first + 20,
            speech=self.speech,
            modules=modules,
            folder=self.folder,
        )
        (self.folder / "config").write_text(config)
        account = f"<sip:{NUMBER}@127.0.0.1>;regint=0;audio_codecs={self.codecs}\n"
        (self.folder / "accounts").write_text(account)
        (self.folder / "contacts").write_text("")
        with (self.folder / "baresip.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                program, "-4", "-v", "-f", str(self.folder),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._changed = asyncio.Condition()
        self._read = 0
        self._writer = await self._connect(control_port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Kill it; what it still had to say was the test's to wait for."""
        self._listening.cancel()
        await asyncio.wait({self._listening})
        self._writer.close()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def command(self, name: str, params: str = "") -> None:
        """Type a command such as `dial` or `sndcode`; it must be taken."""
        text = json.dumps({"command": name, "params": params, "token": name}).encode()
        self._writer.write(b"%d:%s," % (len(text), text))
        async with asyncio.timeout(COMMAND_LIMIT_S), self._changed:
            await self._changed.wait_for(lambda: self._reply(name) is not None)
        reply = self._reply(name)
        assert reply is not None
        self.events.remove(reply)
        assert reply["ok"], f"{name} {params}: {reply['data']}\n{self.log()}"

    async def event(self, kind: str, limit_s: float = 15.0) -> dict[str, Any]:
        """The first event of a kind, such as `CALL_ESTABLISHED`."""
        try:
            async with asyncio.timeout(limit_s), self._changed:
                await self._changed.wait_for(lambda: self._first(kind) is not None)
        except TimeoutError:
            raise AssertionError(f"baresip told no {kind} in {limit_s} s\n{self.log()}") from None
        found = self._first(kind)
        assert found is not None
        return found

    async def heard_beep(self, limit_s: float = 15.0) -> None:
        """Wait until the beep before a recording has sounded in what it hears."""
        await until(lambda: audio.beep_ended(self.heard()), limit_s, "baresip heard the beep")

    def heard(self) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        """What it decoded so far, 8 kHz."""
        dumps = sorted(self.folder.glob("dump-*-dec.wav"))
        data = dumps[0].read_bytes()[_WAV_HEADER_BYTES:] if dumps else b""
        return np.frombuffer(data[: len(data) & ~1], np.int16)

    def log(self) -> str:
        """The end of what it printed."""
        text = (self.folder / "baresip.log").read_text(errors="replace")
        return re.sub(r"\x1b\[[\d;]*m", "", text)[-3000:]

    def _reply(self, token: str) -> dict[str, Any] | None:
        for one in self.events:
            if one.get("response") and one.get("token") == token:
                return one
        return None

    def _first(self, kind: str) -> dict[str, Any] | None:
        return next((one for one in self.events if one.get("type") == kind), None)

    async def _connect(self, port: int) -> asyncio.StreamWriter:
        async with asyncio.timeout(START_LIMIT_S):
            while True:
                assert self._process.returncode is None, self.log()
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except ConnectionRefusedError:
                    await asyncio.sleep(0.05)
        self._listening = asyncio.create_task(self._listen(reader))
        return writer

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Netstrings with JSON inside."""
        try:
            while True:
                length = int((await reader.readuntil(b":"))[:-1])
                text = await reader.readexactly(length + 1)
                async with self._changed:
                    at = asyncio.get_running_loop().time()
                    self.events.append({**json.loads(text[:-1]), "at": at})
                    self._changed.notify_all()
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return


def _modules() -> str:
    return next(folder for folder in _MODULE_FOLDERS if Path(folder).is_dir())


def _two_free_ports() -> int:
    """A port for SIP; baresip takes the next one for TLS as well."""
    while True:
        port = free_port()
        try:
            with (
                socket.create_server(("127.0.0.1", port)),
                socket.create_server(("127.0.0.1", port + 1)),
            ):
                return port
        except OSError:
            continue
