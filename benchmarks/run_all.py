"""All benchmarks, one after the other: what this machine carries.

    make bench          (about eleven minutes; leave the machine alone meanwhile)

Figures worth keeping go into `RESULTS.md` with date, machine and command.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

COMMANDS = [
    ["-m", "benchmarks.media_worker", "--calls", "100", "300", "600"],
    ["-m", "benchmarks.finish_key", "--seconds", "5", "120"],
    ["-m", "benchmarks.random_kills"],
    ["-m", "benchmarks.database_commits"],
    ["-m", "benchmarks.database_request"],
    ["-m", "benchmarks.bridges_and_rooms"],
    ["-m", "benchmarks.bridge_delay"],
    ["-m", "benchmarks.delivery"],
    ["-m", "benchmarks.api_throughput"],
    ["-m", "benchmarks.prompt_start"],
    ["-m", "benchmarks.prompts_beside_recordings"],
    ["-m", "benchmarks.console_pages"],
    ["-m", "benchmarks.simulated_calls"],
]


def main() -> int:
    """Run them; the exit code is the first failure's."""
    print(
        f"{datetime.now(UTC):%Y-%m-%d} {platform.platform()} {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.2f}"
    )
    root = Path(__file__).parent.parent
    for command in COMMANDS:
        print("\n$ python " + " ".join(command), flush=True)
        code = subprocess.run([sys.executable, *command], cwd=root, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
