"""The pool with its real child processes: what it makes, and what happens when they die."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soundfile

from voiceblocks import ipc
from voiceblocks.adapters.cache_folder import CacheLimits
from voiceblocks.adapters.espeak import EspeakLibrary, find_engine
from voiceblocks.adapters.render.cache import ClipCache, hash_file, key_of
from voiceblocks.adapters.render.cache_keeper import CacheKeeper
from voiceblocks.adapters.render.lane import Lane
from voiceblocks.adapters.render.pool import RenderPool
from voiceblocks.audio import g711
from voiceblocks.audio.level import goertzel_level_dbfs
from voiceblocks.audio.resample import active_level_dbfs
from voiceblocks.errors import ContractViolation, EncodeError, SynthesisError, UnreadableAudio
from voiceblocks.recordings.spool import SLOT_SAMPLES, SpoolWriter
from voiceblocks.speech.asked_by import ASKED_BY
from voiceblocks.speech.interfaces import Clip


def _has_engine() -> bool:
    engine = find_engine()
    if engine is not None:
        engine.close()
    return engine is not None


needs_speech = pytest.mark.skipif(not _has_engine(), reason="espeak-ng is not installed")


# One pool for nearly all tests: three processes take a second to start, and a pool that
# did not get over what one test did to it fails the next.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool(work_dir: Path) -> AsyncIterator[RenderPool]:
    """A pool that serves."""
    pool = RenderPool(work_dir.parent / "cache", work_dir)
    await pool.start()
    yield pool
    await pool.stop()


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pool's MP3s appear."""
    return tmp_path_factory.mktemp("render") / "work"


def heard(clip: Clip) -> np.ndarray:
    """A clip's samples; both laws must say the same."""
    ulaw = g711.ulaw_decode(np.fromfile(clip.ulaw_path, np.uint8))
    alaw = g711.alaw_decode(np.fromfile(clip.alaw_path, np.uint8))
    assert len(ulaw) == len(alaw) == clip.n_samples
    # Either law is a thirtieth of the amplitude off at most, and eight steps near zero.
    distance = np.abs(ulaw.astype(int) - alaw.astype(int))
    assert np.all(distance <= 16 + np.abs(ulaw.astype(int)) // 12)
    return ulaw


def steps(n_seconds: int) -> np.ndarray:
    """Each second its own frequency: 400 Hz, 500 Hz and so on."""
    seconds = np.arange(8000) / 8000
    parts = [np.sin(2 * np.pi * (400 + 100 * n) * seconds) for n in range(n_seconds)]
    return (12_000 * np.concatenate(parts)).astype(np.int16)


def assert_steps(samples: np.ndarray, n_seconds: int, level_dbfs: float = -9) -> None:
    """Each whole second holds its own frequency and not its neighbours'."""
    for n in range(n_seconds):
        second = samples[n * 8000 + 400 : n * 8000 + 7600]
        right = goertzel_level_dbfs(second, 400 + 100 * n)
        assert right == pytest.approx(level_dbfs, abs=2), f"second {n}"
        for wrong in (300 + 100 * n, 500 + 100 * n):
            assert goertzel_level_dbfs(second, wrong) < right - 25, f"second {n}"


def slots(samples: np.ndarray, law: str = "PCMU") -> np.ndarray:
    """Spool records of whole slots."""
    encode = g711.ulaw_encode if law == "PCMU" else g711.alaw_encode
    codes = encode(samples[: len(samples) // SLOT_SAMPLES * SLOT_SAMPLES])
    return np.ascontiguousarray(np.insert(codes.reshape(-1, SLOT_SAMPLES), 0, 1, axis=1))


def write_spool(path: Path, samples: np.ndarray, law: str = "PCMU") -> Path:
    """A complete spool of `samples`, whose last slot may be partial."""
    writer = SpoolWriter(path, law)
    padded = np.pad(samples, (0, -len(samples) % SLOT_SAMPLES))
    writer.append(slots(padded, law))
    writer.finish(len(samples))
    writer.close()
    return path


def grow(path: Path, samples: np.ndarray) -> None:
    """Append whole slots to a spool that may exist."""
    writer = SpoolWriter(path, "PCMU")
    writer.append(slots(samples))
    writer.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does; pytest's own limit ends a wait for ever."""
    while not condition():  # noqa: ASYNC110 - another process has no event to wait for
        await asyncio.sleep(0.01)


def all_in(folder: Path) -> list[Path]:
    """What a folder holds now."""
    return list(folder.iterdir())


def kill(lane: Lane) -> int:
    """Kill a lane's child as the kernel would; its pid."""
    pid = lane.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


@needs_speech
async def test_speech_sounds_like_a_telephone(pool: RenderPool) -> None:
    """Speech lies in the telephone band at our level, trimmed, without clicks."""
    clip = await pool.render_speech("Please leave a message after the tone.", "en", "female")
    samples = heard(clip)
    assert 1.5 < clip.n_samples / 8000 < 5
    assert active_level_dbfs(samples) == pytest.approx(-20, abs=1)
    assert np.abs(samples.astype(int)).max() < 32768 * 10 ** (-3 / 20)
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / 8000)
    assert spectrum[(hz > 150) & (hz < 3400)].sum() > 0.9 * spectrum.sum()
    # The first and the last sample are silence, and so are nearly all of the last 50 ms.
    assert abs(int(samples[0])) < 20
    assert abs(int(samples[-1])) < 20
    assert np.abs(samples[-300:].astype(int)).max() < 600
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 600)
    assert loud[0] < 400
    assert loud[-1] > len(samples) - 1600


@needs_speech
async def test_speech_follows_text_and_voice(pool: RenderPool) -> None:
    """Longer text is longer; voices and languages differ, spelling of blanks does not."""
    short, long, spaced, male, chinese = await asyncio.gather(
        pool.render_speech("Press one.", "en", "female"),
        pool.render_speech("Press one for sales, or two for support.", "en", "female"),
        pool.render_speech("  Press \n one. ", "en", "female"),
        pool.render_speech("Press one.", "en", "male"),
        pool.render_speech("请按一", "zh", "female"),
    )
    assert long.n_samples > 1.5 * short.n_samples
    assert spaced == short
    assert len({short.ulaw_path, male.ulaw_path, chinese.ulaw_path}) == 3


@needs_speech
@pytest.mark.parametrize("text", ["", "...", " \n ", "\0"])
async def test_text_without_sound(pool: RenderPool, text: str) -> None:
    """Nothing to hear is an error, not an empty clip."""
    with pytest.raises(SynthesisError):
        await pool.render_speech(text, "en", "female")


async def test_language_without_voice(pool: RenderPool) -> None:
    """What no engine speaks is refused before a child is asked."""
    for language, gender in (("ja", "female"), ("xx", "male"), ("en", "robot")):
        with pytest.raises(SynthesisError):
            await pool.render_speech("hello", language, gender)


@needs_speech
async def test_cache_needs_no_child(tmp_path: Path) -> None:
    """What was spoken once is there without any process."""
    pool = RenderPool(tmp_path / "cache", tmp_path / "mp3s")
    await pool.start()
    clip = await pool.render_speech("Once only.", "en", "female")
    beep = await pool.beep()
    await pool.stop()
    assert await pool.render_speech("Once only.", "en", "female") == clip
    assert await pool.beep() == beep
    with pytest.raises(SynthesisError, match="stops"):
        await pool.render_speech("Something else.", "en", "female")


@needs_speech
async def test_same_text_at_once_is_one_job(
    pool: RenderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty calls that want the same new prompt cost one rendering, also if one hangs up."""
    _encode, speech, _files = pool.lanes
    submitted = []
    submit = speech.submit

    def counting(*arguments: object) -> object:
        submitted.append(arguments)
        return submit(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(speech, "submit", counting)
    tasks = [
        asyncio.create_task(pool.render_speech("Hello to you all.", "en", "female"))
        for _ in range(50)
    ]
    await asyncio.sleep(0)
    tasks[0].cancel()
    clips = await asyncio.gather(*tasks[1:])
    assert len(submitted) == 1
    assert len(set(clips)) == 1


@needs_speech
async def test_accounts_have_their_turns(pool: RenderPool) -> None:
    """One new prompt of one account does not wait for the many of another."""

    def ask(account: str, text: str) -> asyncio.Task[Clip]:
        context = contextvars.copy_context()
        context.run(ASKED_BY.set, account)
        speaking = pool.render_speech(text, "en", "female")
        return asyncio.get_running_loop().create_task(speaking, context=context)

    campaign = [ask("acc_1", f"Dear customer number {number}.") for number in range(40)]
    await asyncio.sleep(0)
    await ask("acc_2", "Welcome to the other company.")
    assert sum(task.done() for task in campaign) < 10
    await asyncio.gather(*campaign)


async def test_beep(pool: RenderPool) -> None:
    """The beep is 400 ms of 1000 Hz."""
    clip = await pool.beep()
    samples = heard(clip)
    assert clip.n_samples == 3200
    assert goertzel_level_dbfs(samples, 1000) > -15


async def test_the_cache_is_kept_small(pool: RenderPool, work_dir: Path) -> None:
    """What is too much goes while the pool works, but not what somebody still has."""
    cache = ClipCache(work_dir.parent / "cache")
    held = cache.store(key_of("held"), steps(1))
    loose = cache.store(key_of("loose"), steps(1)).ulaw_path
    for path in (held.ulaw_path, held.alaw_path, loose, loose.with_suffix(".alaw")):
        os.utime(path, (1, 1))
    _encode, _speech, files = pool.lanes
    keeper = CacheKeeper(cache, files, itertools.count(1 << 40), CacheLimits(1, None))
    keeper.start()
    await until(lambda: not loose.exists())
    await keeper.stop()
    assert cache.find(key_of("held")) is held
    assert held.alaw_path.exists()


async def test_ring_tones_and_music(pool: RenderPool) -> None:
    """Made once, in both laws; countries with one tone share a clip."""
    music = await pool.hold_music()
    assert music.n_samples == 24 * 8000
    assert len(heard(music)) == music.n_samples
    assert await pool.hold_music() == music
    american = await pool.ring_tone("US")
    assert american == await pool.ring_tone("ca")
    assert american.n_samples == 6 * 8000
    for frequency_hz in (440, 480):
        assert goertzel_level_dbfs(heard(american)[:16000], frequency_hz) > -25
    assert (await pool.ring_tone("XX")).n_samples == 5 * 8000


@needs_speech
async def test_killed_children_are_replaced(pool: RenderPool) -> None:
    """A child that dies, idle or at work, costs nobody an answer."""
    _encode, speech, files = pool.lanes
    first = kill(speech)
    kill(files)
    clip, beep = await asyncio.gather(
        pool.render_speech("I was away.", "en", "female"), pool.beep()
    )
    assert clip.n_samples > 4000
    assert beep.n_samples == 3200
    assert speech.pid not in (None, first)
    tasks = [
        asyncio.create_task(pool.render_speech(f"Message {n} of many.", "en", "male"))
        for n in range(8)
    ]
    await asyncio.sleep(0)
    kill(speech)
    clips = await asyncio.gather(*tasks)
    assert len({clip.ulaw_path for clip in clips}) == 8


async def test_a_job_that_kills_does_not_do_so_for_ever(pool: RenderPool, tmp_path: Path) -> None:
    """A file of which the child dies twice is unreadable; the next one is read."""
    _encode, _speech, files = pool.lanes
    # Opening a pipe without a writer waits for ever: time to kill.
    os.mkfifo(tmp_path / "pipe")
    good = tmp_path / "good.wav"
    soundfile.write(good, steps(1), 8000)
    future = files.submit(_render_file(tmp_path / "pipe"))
    following = asyncio.create_task(pool.render_audio_file(good, ".wav"))
    for _death in range(2):
        await until(lambda: files.pid is not None)
        pid = kill(files)
        await until(lambda pid=pid: files.pid != pid)  # type: ignore[misc]
    await asyncio.wait({future})
    assert "died" in str(future.exception())
    assert (await following).n_samples == 8000


async def test_a_job_that_hangs_is_ended(pool: RenderPool, tmp_path: Path) -> None:
    """After its time limit a job fails, its child is replaced, and the next job is done."""
    _encode, _speech, files = pool.lanes
    os.mkfifo(tmp_path / "pipe")
    pid = files.pid
    future = files.submit(_render_file(tmp_path / "pipe"), 0.05)
    await asyncio.wait({future})
    assert "too long" in str(future.exception())
    assert (await pool.beep()).n_samples == 3200
    assert files.pid != pid


def _render_file(path: Path) -> object:
    from voiceblocks.adapters.render.messages import RenderFile

    return RenderFile(job=1_000_000, key="0" * 64, source=str(path), extension=".wav")


@pytest.mark.parametrize("extension", [".mp3", ".wav", ".gsm"])
async def test_audio_files(pool: RenderPool, tmp_path: Path, extension: str) -> None:
    """Each format, at its own rate and channel count, becomes the same seconds."""
    path = tmp_path / f"custom{extension}"
    if extension == ".gsm":
        soundfile.write(path, steps(3), 8000, format="RAW", subtype="GSM610")
    else:
        # As floats: libsndfile garbles int16 stereo when it writes MP3.
        wide = np.repeat(steps(3), 6).astype(np.float32) / 32768
        soundfile.write(path, np.stack([wide, wide], axis=1), 48_000)
    clip = await pool.render_audio_file(path, extension.upper())
    samples = heard(clip)
    # GSM has frames of 20 ms; everything else is exact.
    assert clip.n_samples == pytest.approx(24_000, abs=160 if extension == ".gsm" else 0)
    assert_steps(samples[:24_000], 3, -20)
    assert active_level_dbfs(samples) == pytest.approx(-20, abs=1)
    # Cached by content, whatever the name.
    copy = tmp_path / "copy"
    copy.write_bytes(path.read_bytes())
    assert await pool.render_audio_file(copy, extension) == clip
    # Deleting a recording deletes what was made from it.
    pool.purge_audio_file(hash_file(copy))
    assert not clip.ulaw_path.exists()
    assert not clip.alaw_path.exists()
    assert await pool.render_audio_file(copy, extension) == clip


async def test_unreadable_files(pool: RenderPool, tmp_path: Path) -> None:
    """Content that is not what the name says is refused, and so is no file at all."""
    path = tmp_path / "custom.wav"
    soundfile.write(path, steps(1), 8000)
    for extension in (".mp3", ".gsm", ".ogg", ""):
        with pytest.raises(UnreadableAudio):
            await pool.render_audio_file(path, extension)
    with pytest.raises(UnreadableAudio):
        await pool.render_audio_file(tmp_path / "missing", ".wav")


async def test_recording_grows_while_followed(
    pool: RenderPool, tmp_path: Path, work_dir: Path
) -> None:
    """Followed from before its spool exists, a recording is exact in length and place."""
    audio = steps(6)
    spool = tmp_path / "a.spool"
    pool.follow("rec-a", spool)
    part = work_dir / "rec-a.mp3.part"
    for second in range(6):
        grow(spool, audio[second * 8000 : (second + 1) * 8000])
        if second in (1, 3):
            size = part.stat().st_size if part.exists() else 0
            await until(lambda size=size: part.exists() and part.stat().st_size > size)  # type: ignore[misc]
    n_samples = 6 * 8000 - 77
    encoded = await pool.finish("rec-a", spool, n_samples)
    assert encoded.n_samples == n_samples
    assert encoded.duration_ms == 5990
    assert encoded.path == work_dir / "rec-a.mp3"
    assert encoded.size_bytes == encoded.path.stat().st_size
    samples, rate_hz = soundfile.read(encoded.path, dtype="int16")
    assert (rate_hz, len(samples)) == (8000, n_samples)
    assert_steps(samples, 6)
    assert not part.exists()


async def test_finish_without_follow_in_both_laws(pool: RenderPool, tmp_path: Path) -> None:
    """A spool that nobody followed is encoded as a whole, twice with the same result."""
    for law in ("PCMU", "PCMA"):
        spool = write_spool(tmp_path / f"{law}.spool", steps(12)[: 12 * 8000 - 1], law)
        first = await pool.finish(f"rec-{law}", spool, 12 * 8000 - 1)
        samples, _rate = soundfile.read(first.path, dtype="int16")
        assert len(samples) == 12 * 8000 - 1
        assert_steps(samples, 11)
        assert await pool.finish(f"rec-{law}", spool, 12 * 8000 - 1) == first


async def test_finish_after_the_child_died(
    pool: RenderPool, tmp_path: Path, work_dir: Path
) -> None:
    """Whenever the encoder dies, before or during the finish, the recording is whole."""
    encode, _speech, _files = pool.lanes
    spool = write_spool(tmp_path / "a.spool", steps(8))
    pool.follow("before", spool)
    await until((work_dir / "before.mp3.part").exists)
    kill(encode)
    assert (await pool.finish("before", spool, 64_000)).n_samples == 64_000
    finishing = [asyncio.create_task(pool.finish(f"r{n}", spool, 64_000 - n)) for n in range(6)]
    await asyncio.sleep(0)
    kill(encode)
    for n, encoded in enumerate(await asyncio.gather(*finishing)):
        samples, _rate = soundfile.read(encoded.path, dtype="int16")
        assert len(samples) == encoded.n_samples == 64_000 - n


async def test_followed_ones_are_followed_by_the_next_child(
    pool: RenderPool, tmp_path: Path, work_dir: Path
) -> None:
    """After a death the new child goes on with what the old one followed."""
    encode, _speech, _files = pool.lanes
    spool = write_spool(tmp_path / "a.spool", steps(3))
    pool.follow("rec-a", spool)
    part = work_dir / "rec-a.mp3.part"
    await until(part.exists)
    made_ns = part.stat().st_ctime_ns
    kill(encode)
    await until(lambda: part.exists() and part.stat().st_ctime_ns > made_ns)
    assert (await pool.finish("rec-a", spool, 24_000)).n_samples == 24_000


async def test_20_finishes_at_once(pool: RenderPool, tmp_path: Path) -> None:
    """Each of many parallel finishes gets its own recording."""
    names = [f"rec-{n}" for n in range(20)]
    spools = [
        write_spool(tmp_path / f"{name}.spool", steps(2)[: 8000 + 333 * n])
        for n, name in enumerate(names)
    ]
    for name, spool in zip(names[:10], spools[:10], strict=True):
        pool.follow(name, spool)
    done = await asyncio.gather(
        *(
            pool.finish(name, spool, 8000 + 333 * n)
            for n, (name, spool) in enumerate(zip(names, spools, strict=True))
        )
    )
    assert [encoded.n_samples for encoded in done] == [8000 + 333 * n for n in range(20)]
    assert [encoded.path.name for encoded in done] == [f"{name}.mp3" for name in names]
    assert len({encoded.sha256 for encoded in done}) == 20


async def test_finishing_twice_at_once(pool: RenderPool, tmp_path: Path) -> None:
    """Two that finish the same recording get the same file, also if a third gave up."""
    spool = write_spool(tmp_path / "a.spool", steps(2))
    tasks = [asyncio.create_task(pool.finish("twice", spool, 16_000)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    with pytest.raises(ContractViolation):
        await pool.finish("twice", spool, 8000)
    one, other = await asyncio.gather(*tasks[1:])
    assert one == other
    assert (await pool.finish("twice", spool, 8000)).n_samples == 8000


async def test_child_that_cannot_be_started(
    pool: RenderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the system has no process to give, jobs wait; then they are done."""
    encode, _speech, _files = pool.lanes
    spool = write_spool(tmp_path / "a.spool", steps(1))
    refused = 0
    spawn = ipc.spawn

    def refuse_twice(*arguments: str) -> object:
        nonlocal refused
        refused += 1
        if refused <= 2:
            raise BlockingIOError("no more processes")
        return spawn(*arguments)

    monkeypatch.setattr(ipc, "spawn", refuse_twice)
    kill(encode)
    assert (await pool.finish("late", spool, 8000)).n_samples == 8000
    assert refused == 3


async def test_finishes_that_fail(pool: RenderPool, tmp_path: Path, work_dir: Path) -> None:
    """No spool, another file and no sound are an EncodeError with its reason, nothing else."""
    (tmp_path / "junk.spool").write_bytes(b"junk" * 100)
    spool = write_spool(tmp_path / "a.spool", steps(1))
    for name, path, n_samples in (
        ("missing", tmp_path / "missing", 160),
        ("junk", tmp_path / "junk.spool", 160),
        ("empty", spool, 0),
    ):
        pool.follow(name, path)
        with pytest.raises(EncodeError) as caught:
            await pool.finish(name, path, n_samples)
        assert caught.value.__cause__ is not None
    assert (await pool.finish("rec-a", spool, 8000)).n_samples == 8000
    left = {path.name.partition(".")[0] for path in all_in(work_dir)}
    assert not left & {"missing", "junk", "empty"}


async def test_abandon(pool: RenderPool, tmp_path: Path, work_dir: Path) -> None:
    """An abandoned recording leaves nothing, and whoever waits for it is told."""
    spool = write_spool(tmp_path / "a.spool", steps(3))
    part = work_dir / "rec-a.mp3.part"
    pool.follow("rec-a", spool)
    await until(part.exists)
    pool.abandon("rec-a")
    await until(lambda: not part.exists())
    finishing = asyncio.create_task(pool.finish("rec-b", spool, 24_000))
    await asyncio.sleep(0)
    pool.abandon("rec-b")
    with pytest.raises(EncodeError):
        await finishing


async def test_stop_with_work_under_way(tmp_path: Path) -> None:
    """Stopping fails what is unfinished instead of leaving it waiting."""
    pool = RenderPool(tmp_path / "cache", tmp_path / "mp3s")
    await pool.start()
    spool = write_spool(tmp_path / "a.spool", steps(3))
    finishing = asyncio.create_task(pool.finish("rec-a", spool, 24_000))
    await asyncio.sleep(0)
    await pool.stop()
    with pytest.raises(EncodeError):
        await finishing
    assert [lane.pid for lane in pool.lanes] == [None, None, None]


@needs_speech
async def test_engine_children_end_with_their_parent() -> None:
    """Closing the engine leaves no process behind."""
    engine = find_engine()
    assert engine is not None
    if isinstance(engine, EspeakLibrary):
        pid = engine.pid
        assert pid is not None
        engine.close()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
