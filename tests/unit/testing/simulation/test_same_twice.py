"""The same script twice gives the same bytes: in one process, and in two with other hash seeds."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.unit.testing.simulation.test_scripts import voicemail
from voiceblocks.testing.simulation.node import Options
from voiceblocks.testing.simulation.voice import Voice
from voiceblocks.testing.speakers import voice as speaker


def busy_day(seed: int) -> bytes:
    """
    Everything of some calls: recorded, given up, dialled, put through, on hold, in a mix.

    Returns:
        The transcript, RTP included.
    """
    with Voice(Options(seed=seed, keep_rtp_digest=True)) as voice:
        leads = voicemail(voice, max_duration=5)

        def answer(told: object) -> None:
            if told.block == "dial":  # type: ignore[attr-defined]
                voice.client.ivr.transfer(told.session, "+6591110002", msg="One moment.")  # type: ignore[attr-defined]
            else:
                leads(told)

        voice.answer_with(answer)
        call = voice.call(ptime_ms=30)
        call.waits_for_beep()
        call.says(speaker(4, 2000))
        call.presses("12#")
        call.is_hung_up()
        friend = voice.phone("+6591110001").answers(after_rings=0.3)
        office = voice.phone("+6591110002").answers(after_rings=1)
        voice.client.ivr.dial(friend.number, "Hello.", notify_url=voice.notify_url)
        called, other = friend.rings(), office.rings()
        other.is_answered()
        called.says(1)
        other.phone_call.media.repeat(speaker(2, 1000))
        called.puts_on_hold()
        voice.waits(1)
        called.comes_back()
        voice.waits(1)
        called.hangs_up()
        for number in ("+6590000001", "+6590000002"):
            voice.call(from_number=number).waits_for_beep()
        voice.waits(12)
        voice.settles()
        return voice.transcript()


def test_twice_in_one_process() -> None:
    """A second simulation knows nothing of the first, and does the same."""
    first, second, other = busy_day(1), busy_day(1), busy_day(2)
    assert first == second
    # The seed decides about identifiers, so equal bytes are no accident.
    assert first != other
    assert first.count(b"INVITE sip:") >= 6
    assert first.count(b"hangup ended") >= 1


@pytest.mark.timeout(600)
def test_in_processes_with_other_hash_seeds() -> None:
    """No order of a set or dict, and no address in memory, decides about what happens."""
    script = (
        "import hashlib\n"
        "from voiceblocks import log\n"
        f"from {__name__} import busy_day\n"
        "log.configure(level='error')\n"
        "print(hashlib.sha256(busy_day(1)).hexdigest())\n"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, timeout=400, check=True,
        ).stdout.split()[-1]
        for seed in ("0", "4711")
    ]  # fmt: skip
    assert digests[0] == digests[1]


@pytest.mark.parametrize("voice_options", [Options(max_call_s=3600)])
def test_a_ten_minute_call(voice: Voice) -> None:
    """Ten minutes are recorded to the sample, whatever the machine is doing meanwhile."""

    def answer(told: object) -> None:
        ivr = voice.client.ivr
        if told.block == "answer":  # type: ignore[attr-defined]
            ivr.record(told.session, voice.notify_url, max_duration=600)  # type: ignore[attr-defined]

    voice.answer_with(answer)
    call = voice.call()
    call.waits_for_beep()
    call.says(599)
    call.hangs_up()
    told = voice.notifications[-1].parameters
    assert int(told["record_ms"]) == pytest.approx(599_000, abs=40)
    assert told["record_packets_lost"] == told["record_packets_late"] == "0"
    assert told["record_absent_ms"] == "0"
    assert voice.notifications[-1].bill is not None
    assert voice.notifications[-1].bill.duration_min == 10
