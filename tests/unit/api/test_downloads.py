"""`/recordings/…mp3` over real HTTP."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from multidict import CIMultiDict
from yarl import URL

from voiceblocks.errors import StoreError

from .conftest import AUDIO, MODIFIED_US, NAME, SHA256, Api

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = "Expires=9&KeyId=k&Signature=good%2B"
DATE = formatdate(MODIFIED_US // 1_000_000, usegmt=True)
PRIVATE = {
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


async def _ask(
    api: Api, path: str, method: str = "GET", **headers: str
) -> tuple[int, CIMultiDict[str], bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with api.http.request(
        method, f"{api.url}/recordings/{path}", headers=named, allow_redirects=False
    ) as response:
        for name, value in PRIVATE.items():
            assert response.headers[name] == value
        return response.status, CIMultiDict(response.headers), await response.read()


async def test_the_whole_file(api: Api) -> None:
    """GET with a good link gives the MP3, with all that a player needs to know."""
    status, headers, body = await _ask(api, f"{NAME}?{GOOD}")
    assert (status, body) == (200, AUDIO)
    assert headers["Content-Type"] == "audio/mpeg"
    assert headers["Content-Length"] == str(len(AUDIO))
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Last-Modified"] == DATE
    assert headers["ETag"] == f'"{SHA256}"'
    assert api.source.opened == [(NAME, "GET")]


async def test_head(api: Api) -> None:
    """HEAD gives the same headers without the file, and ignores ranges."""
    _, get_headers, _ = await _ask(api, f"{NAME}?{GOOD}")
    status, headers, body = await _ask(api, f"{NAME}?{GOOD}", "HEAD", Range="bytes=0-1")
    assert (status, body) == (200, b"")
    del headers["Date"], get_headers["Date"]
    assert headers == get_headers


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000-2999", 1000, 3000),
        ("bytes=10000-", 10000, 10240),
        ("bytes=-7", 10233, 10240),
        ("bytes=-99999", 0, 10240),
        ("bytes=10239-99999", 10239, 10240),
    ],
)
async def test_a_range(api: Api, asked: str, start: int, end: int) -> None:
    """A single range gives exactly its bytes and says where they belong."""
    status, headers, body = await _ask(api, f"{NAME}?{GOOD}", Range=asked)
    assert (status, body) == (206, AUDIO[start:end])
    assert headers["Content-Range"] == f"bytes {start}-{end - 1}/10240"
    assert headers["Content-Length"] == str(end - start)
    assert headers["Content-Type"] == "audio/mpeg"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=5-1", "pages=1-2", "bytes=x"])
async def test_a_range_that_is_ignored(api: Api, asked: str) -> None:
    """Several ranges, and what is no range, get the whole file."""
    status, _, body = await _ask(api, f"{NAME}?{GOOD}", Range=asked)
    assert (status, body) == (200, AUDIO)


@pytest.mark.parametrize("asked", ["bytes=10240-", "bytes=99999-100000", "bytes=-0"])
async def test_a_range_outside_the_file(api: Api, asked: str) -> None:
    """It gets 416 and the size."""
    status, headers, _ = await _ask(api, f"{NAME}?{GOOD}", Range=asked)
    assert status == 416
    assert headers["Content-Range"] == "bytes */10240"


@pytest.mark.parametrize(
    ("if_range", "expected"), [(f'"{SHA256}"', 206), (DATE, 206), ('"other"', 200), ("x", 200)]
)
async def test_if_range(api: Api, if_range: str, expected: int) -> None:
    """A range of another version becomes the whole file."""
    status, _, _ = await _ask(api, f"{NAME}?{GOOD}", Range="bytes=0-9", If_Range=if_range)
    assert status == expected


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_not_modified(api: Api, method: str) -> None:
    """Who has the file already gets 304, by date and by tag."""
    for condition in ({"If_Modified_Since": DATE}, {"If_None_Match": f'W/"{SHA256}"'}):
        status, headers, body = await _ask(api, f"{NAME}?{GOOD}", method, **condition)
        assert (status, body) == (304, b"")
        assert headers["ETag"] == f'"{SHA256}"'
        assert "Content-Type" not in headers


async def test_another_version_was_expected(api: Api) -> None:
    """If-Match with another tag gets 412."""
    status, _, _ = await _ask(api, f"{NAME}?{GOOD}", If_Match='"other"')
    assert status == 412


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("", "The link is wrong."),
        ("?Signature=", "The link is wrong."),
        ("?Signature=other", "The link is wrong."),
        ("?Signature=good+", "The link is wrong."),
        ("?Signature=x&Signature=good%2B", "The link is wrong."),
        ("?Signature=old", "The link has expired."),
        ("?Signature=%FF", "The link is damaged."),
    ],
)
async def test_a_link_that_is_not_good(api: Api, query: str, text: str) -> None:
    """It gets 403 and a sentence, whether there is such a recording or not."""
    for name in (NAME, "rec-unknown.mp3"):
        url = URL(f"{api.url}/recordings/{name}{query}", encoded=True)
        async with api.http.get(url) as response:
            assert (response.status, await response.text()) == (403, text + "\n")
    assert api.source.opened == []


@pytest.mark.parametrize(
    "path",
    [
        *("rec-unknown.mp3", "rec-1.ogg", "..%2Fsecret.key", "%2e%2e%2fx.mp3", ".mp3"),
        *("x%0A.mp3", "x" * 200 + ".mp3", "%00.mp3", "x.mp3%0A"),
    ],
)
async def test_what_there_is_not(api: Api, path: str) -> None:
    """Unknown names and names that cannot be ours get 404."""
    url = URL(f"{api.url}/recordings/{path}?{GOOD}", encoded=True)
    async with api.http.get(url) as response:
        assert response.status == 404
    assert {name for name, _ in api.source.opened} <= {"rec-unknown.mp3"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_not_allowed(api: Api, method: str) -> None:
    """Here HTTP's own status is right: no old client comes here with them."""
    status, headers, _ = await _ask(api, f"{NAME}?{GOOD}", method)
    assert status == 405
    assert headers["Allow"] == "GET, HEAD"


async def test_a_recording_without_a_digest(api: Api) -> None:
    """Without a known SHA-256 there is no tag, and dates still work."""
    api.source.file.sha256 = None
    status, headers, body = await _ask(api, f"{NAME}?{GOOD}", Range="bytes=0-1", If_Range=DATE)
    assert (status, body) == (206, AUDIO[:2])
    assert "ETag" not in headers


async def test_a_store_that_fails_is_a_plain_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store's failure is no traceback for whoever holds a link."""

    async def fail(*_: object) -> None:
        raise StoreError("disk /secret/path is gone")

    monkeypatch.setattr(api.source, "open", fail)
    status, headers, body = await _ask(api, f"{NAME}?{GOOD}")
    assert headers["Retry-After"] == "60"
    assert (status, body) == (503, b"The recording cannot be read now; try again in a minute.\n")


async def test_a_link_for_one_use_gives_everything_at_once(api: Api) -> None:
    """There is no second request for the rest: a range and a condition are passed over."""
    api.source.file.is_once = True
    for asked in ({"Range": "bytes=5-9"}, {"If_None_Match": f'"{SHA256}"'}):
        status, headers, body = await _ask(api, f"{NAME}?{GOOD}", **asked)
        assert (status, headers["Accept-Ranges"]) == (200, "none")
        assert len(body) == api.source.file.size_bytes
        assert headers["Cache-Control"] == "private, no-store"


async def test_a_reader_is_sent_on_to_the_store(api: Api) -> None:
    """307 with the store's own link, which no cache keeps and no referrer tells."""
    api.source.file.redirect_url = "http://127.0.0.1:9/bucket/rec.mp3?X-Amz-Signature=1"
    status, headers, body = await _ask(api, f"{NAME}?{GOOD}")
    assert (status, body) == (307, b"")
    assert headers["Location"] == api.source.file.redirect_url
    assert headers["Cache-Control"] == "private, no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
