"""The command line: `voiceblocks …`. Every command takes `--json` for scripts."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point; `serve` is handled before anything heavy is imported."""
    if sys.argv[1:2] == ["serve"]:
        from voiceblocks.cli.serve import serve

        sys.exit(serve(sys.argv[2:]))
    from voiceblocks.cli.app import app

    app()
