"""A real Asterisk 22 as the carrier: it takes our calls, is our registrar, and sends us calls.

Its numbers are constants below; what a call to one does is in `_EXTENSIONS`. Numbers 1 to 3 are
phones: each speaks with a voice of its own (`speakers.voice`) for as long as it is in a call,
and what it hears is written to a file, see `heard`.

    async with AsteriskTrunk(folder) as trunk:
        # trunk add carrier --address sip:{trunk.address} --username voiceblocks …
        ... dial(TALKERS[1]) and transfer to TALKERS[2] ...
        await trunk.hung_up()
        passages = who_is_heard(trunk.heard(TALKERS[1]))
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.interop.asterisk_process import AsteriskProcess
from voiceblocks.testing.speakers import voice

USERNAME: Final = "voiceblocks"
PASSWORD: Final = "s3cret-of-the-trunk"

ECHO: Final = "+6591110000"
TALKERS: Final = {1: "+6591110001", 2: "+6591110002", 3: "+6591110003"}
"Phones that ring for a second, answer, speak with the voice of that speaker, and record."
BUSY: Final = "+6591110004"
NO_ANSWER: Final = "+6591110005"
CONGESTED: Final = "+6591110006"
UNALLOCATED: Final = "+6591110007"
REJECTED: Final = "+6591110008"
ANNOUNCED_BUSY: Final = "+6591110009"
"Two seconds of speaker 9 as early media, then busy."
ANNOUNCED: Final = "+6591110010"
"Two seconds of speaker 9 as early media, then it answers and echoes."
SHORT: Final = "+6591110011"
"Answers and hangs up after two seconds."
PRESSES: Final = "+6591110012"
"Answers, waits a second, presses 1234#."
LISTENS: Final = "+6591110013"
"Answers and reads four digits, see `digits`."

RATE_HZ: Final = 8000
_VOICE_S = 10

_MODULES = (
    "res_pjsip_authenticator_digest",
    "res_pjsip_endpoint_identifier_user",
    "res_pjsip_registrar",
    "res_pjsip_header_funcs",
    "res_pjsip_dtmf_info",
    "func_callerid",
    "func_logic",
    "app_dial",
    "app_echo",
    "app_read",
    "app_verbose",
)

_PJSIP = """
[system]
type=system
disable_tcp_switch=yes
[udp]
type=transport
protocol=udp
bind=127.0.0.1:{sip_port}
[tcp]
type=transport
protocol=tcp
bind=127.0.0.1:{sip_port}

[{username}]
type=endpoint
context=carrier
disallow=all
allow={codecs}
dtmf_mode={dtmf}
direct_media=no
media_address=127.0.0.1
bind_rtp_to_media_address=yes
trust_id_inbound=yes
trust_id_outbound=yes
send_pai=yes
aors={username}
{auth}
[{username}]
type=aor
max_contacts=1
remove_existing=yes
minimum_expiration={shortest_s}
default_expiration={longest_s}
maximum_expiration={longest_s}
[{username}]
type=identify
endpoint={username}
match=127.0.0.1
[{username}-auth]
type=auth
auth_type=userpass
username={username}
password={password}
"""

_EXTENSIONS = """
[carrier]
exten => _+X!,1,Goto(numbers,${EXTEN:1},1)
exten => _X!,1,Goto(numbers,${EXTEN},1)
[numbers]
exten => _X!,1,Log(NOTICE,CALL {seen})
 same => n,Goto(${EXTEN:-2},1)
exten => 00,1,Answer()
 same => n,Echo()
exten => _0[123],1,Ringing()
 same => n,Wait(1)
 same => n,Answer()
 same => n,MixMonitor({run}/both-${UNIQUEID}.wav,r({run}/heard-${EXTEN}-${UNIQUEID}.wav))
 same => n(again),Playback({run}/voice-${EXTEN:1})
 same => n,Goto(again)
exten => 04,1,Hangup(17)
exten => 05,1,Ringing()
 same => n,Wait(120)
exten => 06,1,Hangup(34)
exten => 07,1,Hangup(1)
exten => 08,1,Hangup(21)
exten => 09,1,Progress()
 same => n,Playback({run}/announcement,noanswer)
 same => n,Hangup(17)
exten => 10,1,Progress()
 same => n,Playback({run}/announcement,noanswer)
 same => n,Answer()
 same => n,Echo()
exten => 11,1,Answer()
 same => n,Wait(2)
 same => n,Hangup()
exten => 12,1,Answer()
 same => n,Wait(1)
 same => n,SendDTMF(1234#)
 same => n,Wait(60)
exten => 13,1,Answer()
 same => n,Read(GOT,,4,,1,30)
 same => n,Log(NOTICE,DIGITS ${GOT})
 same => n,Wait(60)
[deliver]
exten => _[+0-9].,1,Set(CALLERID(num)=${CALLER})
 same => n,Set(CALLERID(pres)=${PRESENTATION})
 same => n,Dial(${TARGET})
"""

_SEEN = (
    "to=${EXTEN} from=${CALLERID(num)} pres=${CALLERID(pres)} "
    "pai=${PJSIP_HEADER(read,P-Asserted-Identity)} privacy=${PJSIP_HEADER(read,Privacy)}"
)


@dataclass(frozen=True, slots=True)
class SeenCall:
    """What Asterisk's dialplan saw of an INVITE of ours."""

    to: str
    "Digits of the Request-URI."
    caller: str
    "As it understands From and P-Asserted-Identity; empty where it was withheld."
    presentation: str
    'Such as `"allowed_not_screened"`, or `"prohib_…"` for a caller who is not to be shown.'
    asserted: str
    "P-Asserted-Identity as sent, or empty."
    privacy: str
    "Privacy as sent, or empty."


class AsteriskTrunk(AsteriskProcess):
    """
    One Asterisk process as carrier.

    Args:
        folder: For everything that it writes; its path must be short.
        password: What it asks for; `None`: it trusts loopback.
        codecs: What it takes, in its own words and order.
        dtmf: `rfc4733`, `info` or `inband`.
        shortest_s: Registrations for less get 423.
        longest_s: Registrations for more get this.
    """

    def __init__(
        self,
        folder: Path,
        *,
        password: str | None = PASSWORD,
        codecs: str = "alaw,ulaw",
        dtmf: str = "rfc4733",
        shortest_s: int = 10,
        longest_s: int = 3600,
    ) -> None:
        auth = "" if password is None else f"auth={USERNAME}-auth"
        values = {
            "username": USERNAME,
            "password": password or "none",
            "auth": auth,
            "seen": _SEEN,
            "codecs": codecs,
            "dtmf": dtmf,
            "shortest_s": str(shortest_s),
            "longest_s": str(longest_s),
        }
        configuration = {"pjsip.conf": _PJSIP, "extensions.conf": _EXTENSIONS}
        super().__init__(folder, configuration, values, _MODULES)

    async def __aenter__(self) -> Self:
        """Write its voices, start it, wait until it takes commands."""
        for speaker in TALKERS:
            samples = voice(speaker, 1000 * _VOICE_S)
            soundfile.write(self.folder / f"voice-{speaker}.wav", samples, RATE_HZ, "PCM_16")
        announcement = voice(9, 2000)
        soundfile.write(self.folder / "announcement.wav", announcement, RATE_HZ, "PCM_16")
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

    @property
    def address(self) -> str:
        """`HOST:PORT` of its SIP, UDP and TCP."""
        return f"127.0.0.1:{self.sip_port}"

    async def call(
        self,
        number: str,
        *,
        caller: str = "+6598765432",
        talker: int = 1,
        to: str | None = None,
        shown: bool = True,
    ) -> None:
        """
        Deliver a call to a number of ours; once answered, a talker speaks in it and records.

        Args:
            number: As it shall stand in the Request-URI.
            caller: Who calls.
            talker: Which of `TALKERS` speaks.
            to: `HOST:PORT` of our SIP; where we have registered if omitted.
            shown: Whether the caller lets the number be shown (else From is anonymous).
        """
        target = f"PJSIP/{number}@{USERNAME}"
        if to is not None:
            target = f"PJSIP/{USERNAME}/sip:{number}@{to}"
        presentation = "allowed" if shown else "prohib"
        for name, value in (
            ("CALLER", caller), ("TARGET", target), ("PRESENTATION", presentation)
        ):  # fmt: skip
            await self.command(f"dialplan set global {name} {value}")
        said = await self.command(
            f"channel originate Local/{number}@deliver extension 0{talker}@numbers"
        )
        assert "No such" not in said, said

    def seen(self) -> list[SeenCall]:
        """The calls of ours that reached its dialplan, oldest first."""
        pattern = r"CALL to=(\S*) from=(\S*) pres=(\S*) pai=(.*?) privacy=(\S*)$"
        return [SeenCall(*found) for found in re.findall(pattern, self.log(1 << 20), re.MULTILINE)]

    def digits(self) -> list[str]:
        """What callers of `LISTENS` pressed, oldest first."""
        return re.findall(r"DIGITS (\S*)$", self.log(1 << 20), re.MULTILINE)

    def heard(self, number: str, index: int = -1) -> NDArray[np.int16]:
        """
        What a talker heard in one of its calls, from its answer on; complete after the call.

        Args:
            number: One of `TALKERS`.
            index: Which of its calls, in order of time.
        """
        files = sorted(self.folder.glob(f"heard-{number[-2:]}-*.wav"))
        assert files, f"{number} was not in a call\n{self.log()}"
        samples, rate_hz = soundfile.read(files[index], dtype="int16")
        assert rate_hz == RATE_HZ
        return np.asarray(samples)

    async def contacts(self) -> list[str]:
        """URIs that are registered with it."""
        said = await self.command("pjsip show contacts")
        return re.findall(rf"Contact:\s+{USERNAME}/(\S+)", said)
