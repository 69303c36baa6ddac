"""The command line: `voiceblocks …`. Every command takes `--json` for scripts."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point; `serve` is handled before anything heavy is imported."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word == "serve":
        from voiceblocks.cli.serve import serve

        sys.exit(serve(sys.argv[2:]))
    from voiceblocks.cli.commands import app_for

    app_for(word)()
