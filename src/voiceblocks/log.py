"""Structured logs: constant event names, facts as fields, nothing secret.

Digits, tokens, signatures, query strings and message bodies never get here;
phone numbers are passed through `e164.masked` by who logs them.
"""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager
from typing import TextIO

import structlog


def configure(*, json: bool = False, level: str = "info", stream: TextIO | None = None) -> None:
    """Set up logging for this process; call once, at its start."""
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _printable,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=True,
    )


def _printable(
    _logger: object, _method: str, fields: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Escape what a peer's text could do to a terminal, or to whoever reads line by line."""
    for name, value in fields.items():
        if isinstance(value, str) and not value.isprintable() and name != "traceback":
            fields[name] = value.encode("unicode_escape").decode("ascii")
    return fields


def about(**facts: str) -> AbstractContextManager[None]:
    """
    Give facts, such as a session, to all that this task logs inside the `with`, whoever logs it.

    Threads of the database know nothing of it; what is logged there names its session itself.
    """
    return structlog.contextvars.bound_contextvars(**facts)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger that names its part of the system."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(part=name)
    return logger
