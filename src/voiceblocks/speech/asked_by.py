"""For whom something is rendered: the many prompts of one must not keep the others waiting."""

from __future__ import annotations

from contextvars import ContextVar

ASKED_BY: ContextVar[str] = ContextVar("asked_by", default="")
"""An account's id; set where a request is authenticated, for all that is done because of it.
Empty for what the node itself needs."""
