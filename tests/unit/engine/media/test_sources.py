"""Clips, lateness and addresses: the small parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from voiceblocks.audio.mixing import transcode
from voiceblocks.engine.media.handles import plain_address
from voiceblocks.engine.media.lateness import EDGES_MS, Lateness, share_later_than
from voiceblocks.engine.media.sources import ClipCache, Source
from voiceblocks.engine.media.transmit import sending_ptime_ms


def packets(source: Source, size: int = 4, most: int = 10) -> list[bytes]:
    """What a source plays, packet by packet."""
    out = []
    for _ in range(most):
        target = bytearray(size)
        more = source.fill(memoryview(target))
        out.append(bytes(target))
        if not more:
            break
    return out


@pytest.mark.parametrize(
    ("clips", "expected"),
    [
        ([b"abcd"], [b"abcd"]),
        ([b"abcde"], [b"abcd", b"e\xff\xff\xff"]),
        ([b"ab", b"c", b"defg"], [b"abcd", b"efg\xff"]),
        ([b"", b"abcd", b""], [b"abcd"]),
        ([b"abcdefgh"], [b"abcd", b"efgh"]),
        ([], [b"\xff" * 4]),
    ],
)
def test_clips_join_without_a_gap(tmp_path: Path, clips: list[bytes], expected: list[bytes]):
    """The last packet is filled with silence."""
    paths = []
    for index, content in enumerate(clips):
        path = tmp_path / str(index)
        path.write_bytes(content)
        paths.append(str(path))
    assert packets(Source(1, paths, "PCMU", ClipCache())) == expected


def test_a_loop_goes_on_and_a_dump_continues(tmp_path: Path):
    """Shorter than a packet, round and round; a moved source plays the next byte."""
    (tmp_path / "a").write_bytes(b"abc")
    cache = ClipCache()
    source = Source(1, [str(tmp_path / "a")], "PCMA", cache, loop=True)
    assert packets(source, most=2) == [b"abca", b"bcab"]
    again = Source.restore(source.dump(), cache)
    assert packets(again, most=1) == packets(source, most=1) == [b"cabc"]
    with pytest.raises(OSError, match="missing"):
        Source(2, [str(tmp_path / "missing")], "PCMA", cache)


@pytest.mark.parametrize("clips", [[b"abcdefgh"], [b"ab", b"cdefg", b"h"]])
def test_another_law_is_heard_from_the_next_packet_on(tmp_path: Path, clips: list[bytes]):
    """Also behind a move and in the next clip; and back again, where nothing was lost."""
    paths = []
    for index, content in enumerate(clips):
        path = tmp_path / str(index)
        path.write_bytes(content)
        paths.append(str(path))
    cache = ClipCache()
    source = Source(1, paths, "PCMU", cache)
    (first,) = packets(source, size=2, most=1)
    source.play_as("PCMA")
    (second,) = packets(source, size=2, most=1)
    moved = Source.restore(source.dump(), cache)
    (third,) = packets(moved, size=2, most=1)
    moved.play_as("PCMU")
    last = packets(moved, size=3)
    assert (first, second, third) == (
        b"ab", transcode(b"cd", "PCMU", "PCMA"), transcode(b"ef", "PCMU", "PCMA")
    )  # fmt: skip
    assert last == [b"gh\xff"]
    moved = Source(1, paths, "PCMU", cache, plays_as="PCMA")
    assert packets(moved, size=9) == [transcode(b"abcdefgh", "PCMU", "PCMA") + b"\xd5"]


def test_lateness_is_summarised_and_begins_anew():
    """p99, maximum, histogram and busy time of one second."""
    lateness = Lateness()
    for _ in range(99):
        lateness.add(0.0001, 0.002)
    lateness.add(0.2, 0.002)
    p99, latest, histogram, busy_s = lateness.summary()
    assert (p99, latest) == (200.0, 200.0)
    assert histogram[0] == 99
    assert histogram[-1] == 1
    assert len(histogram) == len(EDGES_MS) + 1
    assert busy_s == pytest.approx(0.2)
    assert share_later_than(histogram, 20.0) == 0.01
    assert lateness.summary()[:2] == (0.0, 0.0)
    assert share_later_than([0] * len(histogram), 5.0) == 0


@pytest.mark.parametrize(
    ("address", "is_plain"),
    [
        (("192.0.2.7", 4000), True),
        (("phone.example", 4000), False),
        (("2001:db8::1", 4000), False),
        (("0.0.0.0", 4000), False),
        (("224.0.0.1", 4000), False),
        (("255.255.255.255", 4000), False),
        (("192.0.2.7", 0), False),
        (("192.0.2.7", 70_000), False),
    ],
)
def test_only_plain_addresses_reach_a_worker(address: tuple[str, int], is_plain: bool):
    """A name would make the tick wait for DNS."""
    assert plain_address(address) == (address if is_plain else None)
    assert plain_address(None) is None


@pytest.mark.parametrize(
    ("asked", "sent"), [(20, 20), (10, 10), (60, 60), (25, 20), (0, 20), (200, 20), (-10, 20)]
)
def test_a_packet_duration_that_we_cannot_send_is_20_ms(asked: int, sent: int):
    """Ptime is a wish of the peer."""
    assert sending_ptime_ms(asked) == sent
