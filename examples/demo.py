"""`make demo`: the main job for real, from an empty folder to the MP3.

Starts a server on free loopback ports with a fresh data folder, makes an account, an
application and a number, starts the voicemail beside this file, and lets the built-in
phone place a SIP call that hears the prompt, speaks a sentence and presses `#`.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
VOICEBLOCKS = [sys.executable, "-m", "voiceblocks"]
NUMBER = "+6531580000"
SENTENCE = "Please call me back."
PATIENCE_S = 40.0


def main() -> int:
    """Run the demo; the exit code says whether everything happened."""
    began = time.monotonic()
    folder = Path("var") / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = {
        **os.environ,
        "VOICEBLOCKS_DATA_DIR": str(folder.absolute()),
        "VOICEBLOCKS_HTTP_LISTEN": "127.0.0.1:0",
        "VOICEBLOCKS_ADMIN_LISTEN": "127.0.0.1:0",
        "VOICEBLOCKS_SIP_LISTEN": "127.0.0.1:0",
        "VOICEBLOCKS_LOG_LEVEL": "warning",
    }
    os.environ.update(environment)
    with contextlib.ExitStack() as stack:
        ready = stack.enter_context(server(environment))
        step(f"server ready: HTTP {ready['http']}, SIP {ready['sip']}")
        account = voiceblocks("account", "create", "Demo Ltd")
        app = voiceblocks("app", "create", account["account_id"], "voicemail")
        port = free_port()
        notify_url = f"http://127.0.0.1:{port}/call"
        voiceblocks("number", "add", NUMBER, "--app", app["app_id"], "--notify-url", notify_url)
        step(f"account {account['account_id']} and number {NUMBER} made")
        log = stack.enter_context(voicemail(port, ready["http"], app))
        step("example voicemail started (examples/voicemail.py)")
        step("the phone calls, listens, speaks and presses #")
        heard = voiceblocks(
            "phone", "call", f"sip:{NUMBER}@{ready['sip']}", "--say", SENTENCE, "--press", "#"
        )
        step(f"the phone heard a prompt of {heard['prompt_s']:.1f} s, then the tone")
        message = wait_for_message(log)
        print("\nWhat the application was told and answered:")
        print(indent(log.read_text()))
        call = voiceblocks("calls", "list")["calls"][0]
        print("\nThe story of the call:")
        for moment in voiceblocks("calls", "show", call["session"])["story"]:
            print(f"  {moment['after_ms']:6d} ms  {moment['what']}")
        mp3 = folder / "message.mp3"
        with urllib.request.urlopen(message, timeout=10) as answer:
            mp3.write_bytes(answer.read())
        import soundfile

        sound = soundfile.info(mp3)
        print(f"\nThe recording: {mp3}, {sound.duration:.3f} s, {mp3.stat().st_size} bytes")
        print(f"Its link:      {message}")
    print(f"\nDone in {time.monotonic() - began:.1f} s. Next: make serve, and README.md.")
    return 0


@contextlib.contextmanager
def server(environment: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Start `voiceblocks serve`, yield its ready line, stop it."""
    process = subprocess.Popen(
        [*VOICEBLOCKS, "serve", "--json"], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        # While it starts, this process gets ready, too.
        importlib.import_module("voiceblocks.cli.app")
        answered, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
        line = process.stdout.readline() if answered else ""
        if not line:
            raise SystemExit("The server did not start; its own words are above.")
        yield json.loads(line)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)
        process.stdout.close()


@contextlib.contextmanager
def voicemail(port: int, http: str, app: dict[str, str]) -> Iterator[Path]:
    """Start the example application; yield the file that it prints to."""
    log = Path(tempfile.mkstemp(suffix=".log")[1])
    environment = {
        **os.environ,
        "VOICEBLOCKS_API": f"http://{http}/open/",
        "VOICEBLOCKS_APP_ID": app["app_id"],
        "VOICEBLOCKS_ACCESS_TOKEN": app["access_token"],
    }
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, HERE / "voicemail.py", str(port)],
            env=environment, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        wait_for_port(port)
        yield log
    finally:
        process.terminate()
        process.wait(timeout=10)
        log.unlink()


def voiceblocks(*arguments: str) -> dict[str, Any]:
    """Run `voiceblocks ... --json` and return what it says; in this process, to save time."""
    from voiceblocks.cli.app import app as commands

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = commands([*arguments, "--json"], standalone_mode=False)
    if code:
        raise SystemExit(f"voiceblocks {' '.join(arguments)} failed: {said.getvalue().strip()}")
    facts: dict[str, Any] = json.loads(said.getvalue())
    return facts


def wait_for_message(log: Path) -> str:
    """Return the link of the message that the application was told of."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for line in log.read_text().splitlines():
            if "new message: " in line:
                return line.split("new message: ")[1]
        time.sleep(0.05)
    raise SystemExit(f"No recording was notified. The application saw:\n{log.read_text()}")


def wait_for_port(port: int) -> None:
    """Return when something listens."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise SystemExit(f"The example application did not start on port {port}.")


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def step(text: str) -> None:
    """Say what has happened."""
    print(f"- {text}", flush=True)


def indent(text: str) -> str:
    """For quoting what others printed."""
    return "\n".join(f"  {line}" for line in text.rstrip().splitlines())


if __name__ == "__main__":
    sys.exit(main())
