"""Steps that most functional tests share."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.harness import Application
from voiceblocks.testing.impairments import Impairments
from voiceblocks.testing.phone import Phone, PhoneCall

SAMPLES_PER_MS = 8
LENGTH_TOLERANCE_MS = 20


async def ringing(
    app: Application,
    phone: Phone,
    *,
    impairments: Impairments | None = None,
    transport: str = "udp",
    codecs: tuple[str, ...] = ("PCMU", "PCMA"),
    ptime_ms: int = 20,
    late_offer: bool = False,
) -> tuple[PhoneCall, str]:
    """Dial; return the call and its session once the application was told."""
    call = await phone.call(
        app.sip(),
        impairments=impairments,
        transport=transport,
        codecs=codecs,
        ptime_ms=ptime_ms,
        late_offer=late_offer,
    )
    answer = await app.told(ivr_block="answer", call_state="ringing")
    return call, answer.body["session"]


async def waiting_for_a_block(app: Application, phone: Phone) -> tuple[PhoneCall, str]:
    """A call that is answered and has just finished a block."""
    call, session = await ringing(app, phone)
    assert await app.block("ivr/middle/play", session, notify_url=app.url("/played")) == (
        "success_ok"
    )
    await call.answered()
    await app.told(ivr_block="play")
    return call, session


async def recording(app: Application, phone: Phone, **parameters: str) -> tuple[PhoneCall, str]:
    """A call whose beep has just ended."""
    call, session = await ringing(app, phone)
    await app.record(session, **parameters)
    await call.answered()
    await call.media.beep_ended()
    return call, session


def decode(mp3: bytes) -> NDArray[np.int16]:
    """The samples of a recording, which must be 8 kHz mono."""
    samples, rate_hz = soundfile.read(io.BytesIO(mp3), dtype="int16")
    assert rate_hz == 8000
    assert samples.ndim == 1
    result: NDArray[np.int16] = samples
    return result


def length_ms(samples: NDArray[np.int16]) -> float:
    """How long it is."""
    return len(samples) / SAMPLES_PER_MS
