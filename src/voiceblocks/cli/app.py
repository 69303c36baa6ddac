"""All commands in one, for who looks at all of them: their page, the tests, the demo."""

from __future__ import annotations

from voiceblocks.cli.commands import app_for

app = app_for("")
