"""A conference line: who calls and knows the PIN is put into the room of that PIN.

VOICEBLOCKS_APP_ID=... VOICEBLOCKS_ACCESS_TOKEN=... python conference_line.py 8000 1234 5678

Point a number at it: voiceblocks number add +6531580000 --app APP_ID \
    --notify-url http://127.0.0.1:8000/
"""

import os
import sys

from voiceblocks.client import Client, Notification
from voiceblocks.client.listener import Listener

TOKEN = os.environ["VOICEBLOCKS_ACCESS_TOKEN"]
API = os.environ.get("VOICEBLOCKS_API", "http://127.0.0.1:8080/open/")
PORT, PINS = int(sys.argv[1]), sys.argv[2:]
OUR_URL = f"http://127.0.0.1:{PORT}/"
TRIES = 3

calls = Client(API, os.environ["VOICEBLOCKS_APP_ID"], TOKEN).ivr


def ask(session: str, msg: str, tries: int) -> None:
    """Ask for the PIN; the tag remembers how often, so that we need not."""
    calls.gather(session, OUR_URL, msg=msg, max_digits=4, timeout=10, tag=str(tries))


def on_notification(told: Notification) -> None:
    """What to do next, by what the call has just told us."""
    if told.block == "transfer" and told.bill is not None:
        print(f"left after {told.bill.duration_min} minutes", flush=True)
    if told.is_ended:
        return
    if told.block == "answer":
        ask(told.session, "Please enter your PIN.", TRIES)
    elif told.digits in PINS:
        room = f"line.{PINS.index(told.digits)}"
        calls.transfer(told.session, f"room:{room}", msg="Welcome.", notify_url=OUR_URL)
        print(f"joined {room}", flush=True)
    elif int(told.tag) > 1:
        ask(told.session, "That is no PIN of ours. Please try again.", int(told.tag) - 1)
    else:
        calls.hangup(told.session, msg="Goodbye.")


if __name__ == "__main__":
    Listener(on_notification, TOKEN, port=PORT).serve_forever()
