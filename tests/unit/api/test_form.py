"""Reading parameters: what is tolerated, what is malformed."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.api import form
from voiceblocks.api.form import (
    BODY_MAX_BYTES,
    ESCAPES_MAX,
    PAIRS_MAX,
    ClientLeft,
    UnreadBody,
    parse_pairs,
    read_fields,
)
from voiceblocks.errors import InvalidRequest


@pytest.mark.parametrize(
    ("encoded", "pairs"),
    [
        (b"", []),
        (b"a=1&b=2", [("a", "1"), ("b", "2")]),
        (b"a=1&a=2", [("a", "1"), ("a", "2")]),
        (b"a=&b", [("a", ""), ("b", "")]),
        (b"&&a=1&", [("a", "1")]),
        (b"=x", [("", "x")]),
        (b"a=b=c", [("a", "b=c")]),
        (b"a=x+y%20z%2B", [("a", "x y z+")]),
        (b"a=100%&b=%zz%4", [("a", "100%"), ("b", "%zz%4")]),
        (b"a=%E8%AB%8B&\xe8\xab\x8b=b", [("a", "請"), ("請", "b")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
        (b"%61%3d=1", [("a=", "1")]),
    ],
)
def test_pairs_that_are_read(encoded: bytes, pairs: list[tuple[str, str]]) -> None:
    """Stray pieces, stray percent signs and unescaped UTF-8 are tolerated."""
    assert parse_pairs(encoded) == pairs


@pytest.mark.parametrize(
    "encoded",
    [
        b"a=%FF",
        b"a=\xff",
        b"a=%C3",
        b"%C3=a",
        b"a=%ED%A0%80",
        b"a=%C0%80",
        b"a=%F4%90%80%80",
        b"a=%00",
        b"a=x\x00",
        b"ok=1&unknown=%FE",
        b"&" * PAIRS_MAX,
        b"a=" + b"x" * BODY_MAX_BYTES,
        b"a=" + b"%41" * (ESCAPES_MAX + 1),
    ],
)
def test_bytes_that_are_malformed(encoded: bytes) -> None:
    """Bad UTF-8 in any parameter, zero characters and too much of anything are refused."""
    with pytest.raises(InvalidRequest, match=r"\Aerror_malformed_params\Z"):
        parse_pairs(encoded)


@given(st.binary(max_size=200))
def test_any_bytes_give_pairs_or_the_status(encoded: bytes) -> None:
    """No bytes make the reader fail in another way, and every text it gives is encodable."""
    try:
        pairs = parse_pairs(encoded)
    except InvalidRequest:
        return
    for name, value in pairs:
        (name + value).encode("utf-8")


_TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)


@given(st.lists(st.tuples(_TEXT, _TEXT), max_size=10))
def test_what_a_correct_client_encodes_comes_back(pairs: list[tuple[str, str]]) -> None:
    """The reader is the inverse of a correct form encoding."""
    assert parse_pairs(urlencode(pairs).encode("ascii")) == pairs


def test_the_largest_legal_request_passes() -> None:
    """Every parameter at its longest, each character escaped as four bytes, is read."""
    longest = {"msg": "\U00020000" * 1000, "tag": "\U00020000" * 256, "notify_url": "/" * 4000}
    encoded = "&".join(
        f"{name}=" + "".join(f"%{byte:02X}" for byte in value.encode())
        for name, value in longest.items()
    )
    assert dict(parse_pairs(encoded.encode("ascii"))) == longest


@pytest.mark.parametrize("piece", [b"%41", b"%", b"+", b"a", b"=", b"%zz"])
def test_the_largest_body_is_read_quickly(piece: bytes) -> None:
    """No million bytes from who knows whom hold up the loop that answers calls."""
    encoded = (piece * ESCAPES_MAX)[:BODY_MAX_BYTES].ljust(BODY_MAX_BYTES, b"+")
    started = time.perf_counter()
    parse_pairs(encoded)
    assert time.perf_counter() - started < 1


def _scope(method: str, query: bytes, length: int | None = None) -> dict[str, Any]:
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    return {"type": "http", "method": method, "query_string": query, "headers": headers}


class _Body:
    """An ASGI `receive` that gives these chunks, then says that the client left."""

    def __init__(self, *chunks: bytes, complete: bool = True) -> None:
        self._messages = [
            {
                "type": "http.request",
                "body": chunk,
                "more_body": not complete or index < len(chunks) - 1,
            }
            for index, chunk in enumerate(chunks)
        ]
        self.read_count = 0

    async def __call__(self) -> dict[str, Any]:
        self.read_count += 1
        return self._messages.pop(0) if self._messages else {"type": "http.disconnect"}


async def test_a_post_reads_its_body_then_its_query() -> None:
    """The body wins, the query fills what the body lacks or leaves empty."""
    fields = await read_fields(_scope("POST", b"a=q&b=q&c=q"), _Body(b"a=b", b"ody&b="))
    assert [fields.get(name) for name in "abc"] == ["body", "q", "q"]


async def test_a_get_does_not_read_its_body() -> None:
    """Nobody waits for the body of a GET."""
    body = _Body(b"a=body")
    fields = await read_fields(_scope("GET", b"b=q"), body)
    assert (fields.get("a"), fields.get("b"), body.read_count) == (None, "q", 0)


async def test_a_body_of_the_largest_size_passes_and_one_byte_more_does_not() -> None:
    """The limit is exact, and a longer body is read to its end before it is refused."""
    half = BODY_MAX_BYTES // 2
    fields = await read_fields(_scope("POST", b""), _Body(b"a=" + b"x" * (half - 2), b"x" * half))
    assert fields.get("a") == "x" * (BODY_MAX_BYTES - 2)
    body = _Body(b"x" * half, b"x" * half, b"x", b"x")
    with pytest.raises(InvalidRequest, match="error_malformed_params") as refused:
        await read_fields(_scope("POST", b""), body)
    assert body.read_count == 4
    assert not isinstance(refused.value, UnreadBody)


async def test_an_endless_body_is_given_up() -> None:
    """Neither a declared nor an undeclared flood is read to its end."""
    body = _Body(*[b"x" * BODY_MAX_BYTES] * 12)
    with pytest.raises(UnreadBody):
        await read_fields(_scope("POST", b""), body)
    assert body.read_count == 11
    body = _Body(b"x")
    with pytest.raises(UnreadBody):
        await read_fields(_scope("POST", b"", length=10**12), body)
    assert body.read_count == 0


async def test_a_client_that_leaves_gets_no_status() -> None:
    """A connection that closes within the body is told apart from a bad body."""
    with pytest.raises(ClientLeft):
        await read_fields(_scope("POST", b""), _Body(b"a=1", complete=False))


async def test_a_body_that_never_ends_is_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who holds back the rest of a body does not hold the connection for ever."""
    monkeypatch.setattr(form, "BODY_TIMEOUT_S", 0.0)

    async def receive() -> dict[str, Any]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    with pytest.raises(UnreadBody, match="error_malformed_params"):
        await read_fields(_scope("POST", b""), receive)
