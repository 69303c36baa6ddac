"""Refuse modules that grew too large: 700 lines anywhere, 400 in the engine."""

import sys
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "voiceblocks"
LIMIT_LINES = 700
ENGINE_LIMIT_LINES = 400


def main() -> int:
    """Print each module over its limit; the exit code says whether there was one."""
    failures = 0
    for path in sorted(SOURCE.rglob("*.py")):
        relative = path.relative_to(SOURCE)
        limit = ENGINE_LIMIT_LINES if relative.parts[0] == "engine" else LIMIT_LINES
        lines = len(path.read_text().splitlines())
        if lines > limit:
            print(f"{relative}: {lines} lines, at most {limit}: what wants to be separate?")
            failures += 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
