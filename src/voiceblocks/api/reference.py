"""The reference of the API, made from the registry: as OpenAPI and as a plain page.

The page is rendered here, without scripts: nothing is loaded from the internet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

from voiceblocks import __version__
from voiceblocks.api.statuses import GENERIC_STATUSES, STATUS_TEXTS, SUCCESS
from voiceblocks.blocks.command import Request
from voiceblocks.blocks.registry import APIS
from voiceblocks.speech.languages import Language
from voiceblocks.speech.reference import HEADINGS, language_rows, spoken_here

_CREDENTIALS = (
    ("app_id", True, "The application."),
    ("access_token", True, "Its access token."),
)

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem }
td, th { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0 }
tr { border-bottom: 1px solid #ddd }
code { font-family: ui-monospace, monospace; overflow-wrap: anywhere }
"""


def statuses_of(request: type[Request]) -> tuple[str, ...]:
    """Every status that an API can answer: the common ones, then its parameters'."""
    own = (status for parameter in request.parameters for status in parameter.statuses)
    return tuple(dict.fromkeys((*GENERIC_STATUSES, *own)))


def openapi_document(public_url: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of `/open`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Voiceblocks",
            "version": __version__,
            "description": "Every answer is HTTP 200 with a JSON object that holds `status`.",
        },
        "servers": [{"url": public_url}],
        "paths": {f"/open/{path}": _path_item(path, request) for path, request in APIS.items()},
    }


def reference_page(public_url: str, speakers_of: Callable[[Language], Mapping[str, str]]) -> str:
    """The same as a page to read, with the languages that are spoken here and now."""
    sections = "".join(_section(path, request) for path, request in APIS.items())
    contents = "".join(
        f'<li><a href="#{escape(path)}"><code>{escape(path)}</code></a></li>' for path in APIS
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Voiceblocks API</title><style>{_STYLE}</style></head><body>"
        f"<h1>Voiceblocks API {escape(__version__)}</h1>"
        f"<p>Base: <code>{escape(public_url.rstrip('/'))}/open/</code>. Send parameters as a "
        "GET's query or as a POST's form, in UTF-8. An empty parameter is an absent one; "
        "unknown ones are ignored. Every answer is HTTP 200 with a JSON object that holds "
        "<code>status</code>. "
        'Machine-readable: <a href="openapi.json">openapi.json</a>.</p>'
        f'<ul>{contents}<li><a href="#languages">Languages</a></li></ul>'
        f"{sections}{_languages(speakers_of)}</body></html>"
    )


def _parameters_of(request: type[Request]) -> list[tuple[str, bool, str]]:
    own = ((item.name, item.required, item.summary) for item in request.parameters)
    return [*_CREDENTIALS, *own]


def _summary(request: type[Request]) -> str:
    """First line of the request's own description."""
    return next(line.strip() for line in (request.__doc__ or "").splitlines() if line.strip())


def _path_item(path: str, request: type[Request]) -> dict[str, Any]:
    parameters = _parameters_of(request)
    name = path.replace("/", "_")
    schema = {
        "type": "object",
        "required": ["status"],
        "properties": {"status": {"type": "string", "enum": list(statuses_of(request))}},
    }
    common = {
        "summary": _summary(request),
        "responses": {
            "200": {
                "description": f"`{SUCCESS}`, or why not.",
                "content": {"application/json": {"schema": schema}},
            }
        },
    }
    form = {
        "type": "object",
        "required": [item for item, required, _ in parameters if required],
        "properties": {
            item: {"type": "string", "description": text} for item, _, text in parameters
        },
    }
    query = [
        {
            "name": item,
            "in": "query",
            "required": required,
            "description": text,
            "schema": {"type": "string"},
        }
        for item, required, text in parameters
    ]
    return {
        "get": {"operationId": f"get_{name}", **common, "parameters": query},
        "post": {
            "operationId": f"post_{name}",
            **common,
            "requestBody": {
                "required": True,
                "content": {"application/x-www-form-urlencoded": {"schema": form}},
            },
        },
    }


def _section(path: str, request: type[Request]) -> str:
    parameters = (
        (name, text if not required else f"Required. {text}")
        for name, required, text in _parameters_of(request)
    )
    statuses = ((status, STATUS_TEXTS[status]) for status in statuses_of(request))
    return (
        f'<h2 id="{escape(path)}"><code>{escape(path)}</code></h2>'
        f"<p>{escape(_summary(request))}</p>"
        f"<h3>Parameters</h3>{_table(parameters)}<h3>Statuses</h3>{_table(statuses)}"
    )


def _languages(speakers_of: Callable[[Language], Mapping[str, str]]) -> str:
    here = spoken_here(speakers_of)
    headings = "".join(f"<th>{escape(heading)}</th>" for heading in (*HEADINGS, "Here, now"))
    cells = "".join(
        f"<tr><td><code>{escape(code)}</code></td>"
        + "".join(f"<td>{escape(text)}</td>" for text in (*others, told))
        + "</tr>"
        for (code, *others), told in zip(language_rows(), here, strict=True)
    )
    return (
        '<h2 id="languages">Languages of <code>msg</code></h2>'
        "<p>How well each engine speaks a language, and who speaks it on this node now; what "
        "is refused gets <code>error_msg_invalid_language</code>.</p>"
        f"<table><tr>{headings}</tr>{cells}</table>"
    )


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = (
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(text)}</td></tr>"
        for name, text in rows
    )
    return f"<table>{''.join(cells)}</table>"
