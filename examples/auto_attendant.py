"""An auto-attendant: a menu, a transfer to a person, and a voicemail when nobody answers.

VOICEBLOCKS_APP_ID=... VOICEBLOCKS_ACCESS_TOKEN=... python auto_attendant.py 8000 +6591234567

Point a number at it: voiceblocks number add +6531580000 --app APP_ID \
    --notify-url http://127.0.0.1:8000/
Allow the call out: voiceblocks account allow ACCOUNT --prefix +65
"""

import os
import sys

from voiceblocks.client import Client, Notification
from voiceblocks.client.listener import Listener

TOKEN = os.environ["VOICEBLOCKS_ACCESS_TOKEN"]
API = os.environ.get("VOICEBLOCKS_API", "http://127.0.0.1:8080/open/")
PORT, SALES = int(sys.argv[1]), sys.argv[2]
OUR_URL = f"http://127.0.0.1:{PORT}/"
MENU = "Welcome. For sales, press 1. To leave a message, press 2."

calls = Client(API, os.environ["VOICEBLOCKS_APP_ID"], TOKEN).ivr


def menu(session: str, msg: str) -> None:
    """Say it, and wait for one key."""
    calls.gather(session, OUR_URL, msg=msg, max_digits=1, timeout=10, attempts=2)


def voicemail(session: str, msg: str) -> None:
    """Take a message."""
    calls.record(session, OUR_URL, msg=msg, max_duration=120)


def on_notification(told: Notification) -> None:
    """What to do next, by what the call has just told us."""
    print(f"{told.block} {told.call_state} {told.transfer_status or ''}".rstrip(), flush=True)
    if told.record_url:
        print(f"  new message: {told.record_url}", flush=True)
    if told.is_ended:
        return
    match told.block, told.digits:
        case "answer", _:
            menu(told.session, MENU)
        case "gather", "1":
            calls.transfer(told.session, SALES, on_failure="continue", notify_url=OUR_URL)
        case "gather", "2":
            voicemail(told.session, "Please speak after the tone.")
        case "gather", "":
            calls.hangup(told.session, msg="Goodbye.")
        case "gather", _:
            menu(told.session, "There is no such choice. " + MENU)
        case "transfer", _:
            voicemail(told.session, "Nobody is there. Please speak after the tone.")
        case "record", _:
            calls.hangup(told.session, msg="Thank you.")


if __name__ == "__main__":
    Listener(on_notification, TOKEN, port=PORT).serve_forever()
