"""Confirm an appointment: call somebody, ask for a key, print what they chose.

VOICEBLOCKS_APP_ID=... VOICEBLOCKS_ACCESS_TOKEN=... python appointment.py +6591234567 "Monday, nine"

Its last line is `confirmed`, `cancelled`, `no answer` or `not reached`.
"""

import os
import sys
import threading

from voiceblocks.client import Client, Notification
from voiceblocks.client.listener import Listener

TOKEN = os.environ["VOICEBLOCKS_ACCESS_TOKEN"]
API = os.environ.get("VOICEBLOCKS_API", "http://127.0.0.1:8080/open/")
CHOICES = {"1": "confirmed", "2": "cancelled"}

calls = Client(API, os.environ["VOICEBLOCKS_APP_ID"], TOKEN).ivr
is_over = threading.Event()
outcomes = ["not reached"]


def on_notification(told: Notification) -> None:
    """Ask once they have answered; note what they press; end."""
    print(f"{told.block} {told.call_state}", flush=True)
    if told.block == "dial" and told.dial_status == "answered":
        outcomes.append("no answer")
    if told.digits in CHOICES:
        outcomes.append(CHOICES[told.digits])
    if told.is_ended:
        is_over.set()
    elif told.block == "dial":
        question = "To confirm, press 1. To cancel, press 2."
        calls.gather(told.session, our_url, msg=question, max_digits=1, timeout=10, attempts=2)
    elif told.block == "gather":
        calls.hangup(told.session, msg=f"Thank you: {outcomes[-1]}.", notify_url=our_url)


if __name__ == "__main__":
    listener = Listener(on_notification, TOKEN)
    our_url = f"http://127.0.0.1:{listener.port}/"
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    greeting = f"Hello. You have an appointment on {sys.argv[2]}."
    calls.dial(sys.argv[1], greeting, ring_time=30, notify_url=our_url)
    is_over.wait()
    listener.close()
    print(outcomes[-1])
