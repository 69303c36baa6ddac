"""A voicemail in one file, with nothing but Python: copy it and make it yours.

VOICEBLOCKS_APP_ID=... VOICEBLOCKS_ACCESS_TOKEN=... python voicemail.py 8000

Point a number at it: voiceblocks number add +6531580000 --app APP_ID \
    --notify-url http://127.0.0.1:8000/call
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlencode
from urllib.request import urlopen

API = os.environ.get("VOICEBLOCKS_API", "http://127.0.0.1:8080/open/")
WHO = {
    "app_id": os.environ["VOICEBLOCKS_APP_ID"],
    "access_token": os.environ["VOICEBLOCKS_ACCESS_TOKEN"],
}
PORT = int(sys.argv[1])
OUR_URL = os.environ.get("VOICEMAIL_URL", f"http://127.0.0.1:{PORT}/call")


def block(path: str, **parameters: str) -> None:
    """Ask for the next block of a call."""
    form = urlencode({**WHO, **parameters}).encode()
    with urlopen(API + path, form, timeout=10) as answer:
        status = json.load(answer)["status"]
    print(f"  -> {path}: {status}", flush=True)


def on_notification(told: dict[str, str]) -> None:
    """What to do next, by what the call has just told us."""
    what, state = told["ivr_block"], told["call_state"]
    print(f"{what} {state} from {told.get('from', '?')}", flush=True)
    if what == "answer" and state == "ringing":
        block(
            "ivr/middle/record",
            session=told["session"],
            msg="Please leave a message after the tone.",
            max_duration="120",
            notify_url=OUR_URL,
        )
    elif what == "record" and told.get("record_status") == "success":
        print(f"  new message: {told['record_url']}", flush=True)
        if state == "ongoing":
            block("ivr/end/hangup", session=told["session"], msg="Thank you.")


class Voicemail(BaseHTTPRequestHandler):
    """Receives the notifications."""

    def do_POST(self) -> None:
        """Read the form, act on it, answer."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        on_notification(dict(parse_qsl(body, keep_blank_values=True)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet: query strings hold what callers typed."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Voicemail).serve_forever()
