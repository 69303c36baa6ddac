"""`/recordings/….mp3`: signed download, with everything that players and caches ask for."""

from __future__ import annotations

import re
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from voiceblocks.api.form import parse_pairs
from voiceblocks.api.handlers import RecordingFile, RecordingSource
from voiceblocks.api.ranges import ByteRange, parse_range, precondition, range_still_valid
from voiceblocks.errors import InvalidRequest, RequestRefused, StoreError
from voiceblocks.log import get_logger

# What our names are made of; no dot at the start and no slash, so no path is left.
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,80}\.(mp3|wav|sealed)\Z", re.ASCII)
_CONTENT_TYPES: Final = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "sealed": "application/vnd.voiceblocks.sealed",
}

# Whoever has the link has the recording: it must not spread by caches and referrers.
_PRIVATE: Final = {
    "cache-control": "private, no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class RecordingDownloads:
    """Serves one `RecordingSource`."""

    def __init__(self, source: RecordingSource) -> None:
        self._source = source
        self._log = get_logger("recordings")

    async def serve(self, request: Request, name: str) -> Response:
        """Answer GET and HEAD for a recording's name; other methods get 405."""
        if request.method not in {"GET", "HEAD"}:
            return _text(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD.", allow="GET, HEAD")
        if not _NAME.match(name):
            return _text(HTTPStatus.NOT_FOUND, "There is no such recording.")
        try:
            query = dict(reversed(parse_pairs(request.scope["query_string"])))
        except InvalidRequest:
            return _text(HTTPStatus.FORBIDDEN, "The link is damaged.")
        try:
            file = await self._source.open(name, request.method, query)
        except RequestRefused as refused:
            return _text(HTTPStatus.FORBIDDEN, str(refused))
        except StoreError as error:
            self._log.error("recording_not_opened", name=name, reason=str(error))
            return _text(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The recording cannot be read now; try again in a minute.",
                retry_after="60",
            )
        if file is None:
            return _text(HTTPStatus.NOT_FOUND, "There is no such recording.")
        if file.redirect_url is not None:
            headers = {**_PRIVATE, "location": file.redirect_url}
            return Response(status_code=HTTPStatus.TEMPORARY_REDIRECT, headers=headers)
        if file.is_once:
            return _whole(request, file)
        return answer_file(request, file)


def _whole(request: Request, file: RecordingFile) -> Response:
    """There is no second request in which a reader could get the rest."""
    headers = {**_PRIVATE, "accept-ranges": "none"}
    return _bytes(request, file, ByteRange(0, file.size_bytes), HTTPStatus.OK, headers)


def answer_file(request: Request, file: RecordingFile) -> Response:
    """Answer GET or HEAD with a recording, or the part of it that was asked for."""
    etag = f'"{file.sha256}"' if file.sha256 else None
    modified_s = file.last_modified_us // 1_000_000
    headers = {
        **_PRIVATE,
        "accept-ranges": "bytes",
        "last-modified": formatdate(modified_s, usegmt=True),
    }
    if etag is not None:
        headers["etag"] = etag
    status = precondition(request.headers, etag, modified_s)
    if status is HTTPStatus.NOT_MODIFIED:
        return Response(status_code=status, headers=headers)
    if status is not None:
        return _text(status, "The recording has changed.")
    wanted = ByteRange(0, file.size_bytes)
    status = HTTPStatus.OK
    if request.method == "GET" and (header := request.headers.get("range")) is not None:
        asked = parse_range(header, file.size_bytes)
        if asked and range_still_valid(request.headers.get("if-range"), etag, modified_s):
            wanted, status = asked, HTTPStatus.PARTIAL_CONTENT
    if status is HTTPStatus.PARTIAL_CONTENT:
        if not wanted.is_satisfiable:
            return _text(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                "The recording is shorter than that.",
                content_range=f"bytes */{file.size_bytes}",
            )
        headers["content-range"] = f"bytes {wanted.start}-{wanted.end - 1}/{file.size_bytes}"
    return _bytes(request, file, wanted, status, headers)


def _bytes(
    request: Request,
    file: RecordingFile,
    wanted: ByteRange,
    status: HTTPStatus,
    headers: dict[str, str],
) -> Response:
    headers["content-type"] = _CONTENT_TYPES[file.name.rpartition(".")[2]]
    headers["content-length"] = str(wanted.end - wanted.start)
    if request.method == "HEAD":
        return Response(headers=headers)
    return StreamingResponse(file.read(wanted.start, wanted.end), status, headers)


def _text(status: HTTPStatus, text: str, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return PlainTextResponse(text + "\n", status, {**_PRIVATE, **named})
