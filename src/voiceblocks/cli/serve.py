"""`voiceblocks serve`: turn options into settings and supervise the control process."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from voiceblocks.server.supervisor import supervise

OPTIONS = {
    "--data-dir": ("VOICEBLOCKS_DATA_DIR", "DIR", "database, spools, recordings (default ./var)"),
    "--http": ("VOICEBLOCKS_HTTP_LISTEN", "HOST:PORT", "public HTTP (default 127.0.0.1:8080)"),
    "--admin": ("VOICEBLOCKS_ADMIN_LISTEN", "HOST:PORT", "the operator's HTTP (127.0.0.1:8081)"),
    "--sip": ("VOICEBLOCKS_SIP_LISTEN", "HOST:PORT", "SIP, UDP and TCP (default 127.0.0.1:5060)"),
}


def serve(arguments: Sequence[str]) -> int:
    """Run a node in the foreground; SIGTERM drains, SIGINT stops."""
    parser = argparse.ArgumentParser(
        prog="voiceblocks serve",
        description="Run a node in the foreground. SIGTERM drains, SIGINT stops.",
        epilog="Every other setting is an environment variable VOICEBLOCKS_…: see the docs.",
    )
    for option, (variable, metavar, text) in OPTIONS.items():
        parser.add_argument(option, dest=variable, metavar=metavar, help=text)
    parser.add_argument("--json", action="store_true", help="the ready line as one JSON object")
    chosen = vars(parser.parse_args(arguments))
    if chosen.pop("json"):
        os.environ["VOICEBLOCKS_READY_JSON"] = "1"
    for variable, value in chosen.items():
        if value is not None:
            os.environ[variable] = value
    return supervise()
