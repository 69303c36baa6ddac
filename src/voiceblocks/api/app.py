"""The two HTTP applications: the public one, and the operator's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from voiceblocks import __version__
from voiceblocks.api.access_log import AccessLog
from voiceblocks.api.account import number_functions, user_functions
from voiceblocks.api.endpoint import ApiFunction, OpenEndpoint
from voiceblocks.api.handlers import ApiHandlers
from voiceblocks.api.ivr import block_functions, start_functions
from voiceblocks.api.metrics import ApiMetrics
from voiceblocks.api.recording_changes import recording_functions
from voiceblocks.api.recordings import RecordingDownloads
from voiceblocks.api.reference import openapi_document, reference_page
from voiceblocks.api.voice import call_functions, moderation_functions, query_functions
from voiceblocks.speech.languages import Language

_ONLY_OWN_STYLE = "default-src 'none'; style-src 'unsafe-inline'"


def create_app(handlers: ApiHandlers, *, metrics: ApiMetrics | None = None) -> ASGIApp:
    """
    The public application: `/open`, `/recordings`, `/healthz`, `/readyz` and nothing else.

    What is below `/open` does not pass through FastAPI, whose layers it has no use for: they cost
    an eighth of a block request.

    Args:
        handlers: The workflows behind it.
        metrics: Where requests are counted; nowhere if omitted.
    """
    app = _bare_app("Voiceblocks")
    endpoint = OpenEndpoint(
        _functions(handlers),
        submitter=handlers.blocks,
        rate_limiter=handlers.rate_limiter,
        metrics=metrics or ApiMetrics(),
        story=handlers.story,
    )
    # A plain route to an ASGI application: every method gets there, also unheard-of ones.
    app.router.routes.append(
        Route("/recordings/{name}", _RecordingEndpoint(RecordingDownloads(handlers.recordings)))
    )

    @app.get("/healthz")
    async def healthz() -> Response:
        return PlainTextResponse("ok\n")

    @app.get("/readyz")
    async def readyz() -> Response:
        reasons = list(handlers.readiness())
        if reasons:
            return JSONResponse({"status": "not_ready", "reasons": reasons}, 503)
        return JSONResponse({"status": "ready"})

    return _Front(AccessLog(endpoint), app)


def create_admin_app(
    *,
    public_url: str,
    registry: CollectorRegistry,
    speakers_of: Callable[[Language], Mapping[str, str]],
    console: ASGIApp | None = None,
) -> FastAPI:
    """
    The operator's application: `/console`, `/docs`, `/openapi.json` and `/metrics`.

    Args:
        public_url: Base of the public addresses, for the reference page.
        registry: The metrics that are shown.
        console: What is served below `/console`; nothing if omitted.
        speakers_of: Who speaks a language now, engine by gender; for the reference page.
    """
    app = _bare_app("Voiceblocks administration")
    document = openapi_document(public_url)

    @app.get("/docs")
    async def docs() -> Response:
        return HTMLResponse(
            reference_page(public_url, speakers_of),
            headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )

    @app.get("/openapi.json")
    async def openapi() -> Response:
        return JSONResponse(document)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    if console is not None:

        @app.get("/")
        @app.get("/console")
        async def to_console() -> Response:
            return RedirectResponse("/console/")

        app.mount("/console", console)

    return app


def _functions(handlers: ApiHandlers) -> dict[str, ApiFunction]:
    """Every API below `/open`, by path."""
    return {
        **block_functions(handlers.blocks),
        **start_functions(handlers.calls),
        **call_functions(handlers.calls),
        **moderation_functions(handlers.moderation),
        **query_functions(handlers.queries),
        **user_functions(handlers.account),
        **number_functions(handlers.numbers),
        **recording_functions(handlers.changes, handlers.moderation),
    }


class _Front:
    """The first fork: what is below `/open`, and the rest."""

    def __init__(self, below_open: ASGIApp, rest: ASGIApp) -> None:
        self._below_open, self._rest = below_open, rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = scope["type"] == "http" and (
            scope["path"] == "/open" or scope["path"].startswith("/open/")
        )
        await (self._below_open if is_open else self._rest)(scope, receive, send)


class _RecordingEndpoint:
    """An ASGI application around the downloads, so that every method gets there."""

    def __init__(self, downloads: RecordingDownloads) -> None:
        self._downloads = downloads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._downloads.serve(request, scope["path_params"]["name"])
        await response(scope, receive, send)


def _bare_app(title: str) -> FastAPI:
    app = FastAPI(
        title=title,
        version=__version__,
        # The reference is the admin application's, and not FastAPI's page with its scripts
        # from elsewhere.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(AccessLog)
    return app
