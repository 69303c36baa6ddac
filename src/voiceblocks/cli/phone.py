"""`voiceblocks phone call`: the built-in phone, for trying a number without a SIP client."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from voiceblocks.adapters.espeak import find_engine, voice_name
from voiceblocks.adapters.render.rendering import speak
from voiceblocks.audio.g711 import Samples
from voiceblocks.cli.output import Json, fail, tell
from voiceblocks.engine.local_address import advertised_host
from voiceblocks.errors import RemoteSipError, VoiceblocksError
from voiceblocks.sip.uri import SipUri
from voiceblocks.testing.phone import CallNotAnswered, Phone, PhoneCall
from voiceblocks.testing.phone_script import Step, parse_script
from voiceblocks.testing.sounds import load_wav

_SCRIPT_HELP = (
    "Instead of --say and --press: a file with a step in each line. wait for beep, wait for audio, "
    "wait 1.5, say TEXT, play FILE.wav, press 12#, hang up."
)
_NO_BEEP = (
    "No beep was heard, so nothing was said or pressed. A menu has none: write steps into a file "
    "for --script, such as `wait 3` and `press 1`."
)

app = typer.Typer(no_args_is_help=True, help="The built-in phone.")

AFTER_SPEECH_S = 0.3
"A person takes a moment before pressing a key."


@app.callback()
def phone() -> None:
    """Place calls with the built-in phone."""


@app.command("call")
def call(
    target: Annotated[str, typer.Argument(help="Such as sip:+6531580000@127.0.0.1:5060")],
    say: Annotated[str | None, typer.Option(help="Said after the beep.")] = None,
    press: Annotated[
        str | None, typer.Option(help="Digits pressed after that, or after the beep.")
    ] = None,
    script: Annotated[Path | None, typer.Option(help=_SCRIPT_HELP)] = None,
    from_number: Annotated[str, typer.Option("--from", help="Caller.")] = "+6591234567",
    tcp: Annotated[bool, typer.Option("--tcp", help="SIP over TCP.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds until it gives up.")] = 120.0,
    as_json: Json = False,
) -> None:
    """Call a number, listen, speak, press keys, and say what was heard."""
    try:
        steps = parse_script(script.read_text()) if script else _default_steps(say, press)
        facts = asyncio.run(place_call(target, steps, from_number, tcp=tcp, timeout_s=timeout))
    except CallNotAnswered as error:
        fail(as_json, f"the call was not answered: {error}")
    except TimeoutError:
        waited = "" if script else " If no beep came, nothing was said or pressed: see --script."
        fail(as_json, f"the call was not over after {timeout:.0f} s.{waited}")
    except (OSError, ValueError, VoiceblocksError) as error:
        fail(as_json, error)
    in_vain = (say or press) and not script and not facts["beep"]
    tell(
        as_json,
        facts,
        f"{_NO_BEEP}\n"
        * bool(in_vain)
        + f"Answered after {facts['ring_s']:.1f} s, prompt of {facts['prompt_s']:.1f} s, "
        f"up for {facts['call_s']:.1f} s, ended: {facts['ended']}",
    )


def _default_steps(say: str | None, press: str | None) -> list[Step]:
    steps = [Step("wait_for_beep")]
    if say:
        steps += [Step("say", say), Step("wait", str(AFTER_SPEECH_S))]
    if press:
        steps.append(Step("press", press))
    return steps if say or press else [Step("wait_for_audio")]


async def place_call(
    target: str, steps: list[Step], from_number: str, *, tcp: bool, timeout_s: float
) -> dict[str, Any]:
    """
    Place one call, do what the steps say, wait for its end, and return what was heard.

    Raises:
        CallNotAnswered: With the final SIP status.
        TimeoutError: If the call is not over after `timeout_s`.
    """
    speech = await asyncio.to_thread(_render_speech, steps)
    loop = asyncio.get_running_loop()
    host = await _local_host(target)
    async with asyncio.timeout(timeout_s), Phone(host) as phone:
        placed_at = loop.time()
        call = await phone.call(target, from_number=from_number, transport="tcp" if tcp else "udp")
        answered_at = await call.answered()
        beep_at: list[float] = []
        for step in steps:
            await _until_ended(call, _perform(call, step, speech, beep_at))
        ended_at = await call.ended()
        heard_at = call.media.heard[0].at if call.media.heard else answered_at
        return {
            "ring_s": round(answered_at - placed_at, 3),
            "prompt_s": round((beep_at[0] if beep_at else ended_at) - heard_at, 3),
            "beep": bool(beep_at),
            "call_s": round(ended_at - answered_at, 3),
            "packets_heard": len(call.media.heard),
            "ended": call.end_cause,
        }


async def _local_host(target: str) -> str:
    """Our address on the way to whom we call: what SDP and Contact must say."""
    try:
        uri = SipUri.parse(target)
    except RemoteSipError as error:
        raise ValueError(
            f"{target} is not a number to call: write it like sip:+6531580000@127.0.0.1:5060"
        ) from error
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            uri.address, None, family=socket.AF_INET, type=socket.SOCK_DGRAM
        )
    except OSError as error:
        raise ValueError(f"{uri.address} has no IPv4 address") from error
    return advertised_host("", "", str(found[0][4][0]))


async def _until_ended(call: PhoneCall, doing: Any) -> None:
    """Do one step, or stop in the middle because the call is over."""
    step = asyncio.ensure_future(doing)
    over = asyncio.ensure_future(call.ended())
    try:
        await asyncio.wait({step, over}, return_when=asyncio.FIRST_COMPLETED)
        if step.done():
            step.result()
    finally:
        step.cancel()
        over.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await step


async def _perform(
    call: PhoneCall, step: Step, speech: dict[str, Samples], beep_at: list[float]
) -> None:
    match step.action:
        case "wait":
            await asyncio.sleep(float(step.argument))
        case "wait_for_audio":
            await call.media.talking.wait()
        case "wait_for_beep":
            beep_at.append(await call.media.beep_ended())
        case "say":
            await call.media.say(speech[step.argument])
        case "play":
            await call.media.say(load_wav(step.argument))
        case "press":
            for digit in step.argument:
                await call.media.press(digit)
        case "hang_up":
            call.hang_up()
            await call.ended()


def _render_speech(steps: list[Step]) -> dict[str, Samples]:
    texts = [step.argument for step in steps if step.action == "say"]
    engine = find_engine() if texts else None
    try:
        return {text: speak(engine, text, voice_name("en", "female")) for text in texts}
    finally:
        if engine is not None:
            engine.close()
