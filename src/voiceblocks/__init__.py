"""Voiceblocks: a self-hosted programmable voice server.

Applications drive phone calls with blocks over HTTP and hear back by webhook.
"""

__version__ = "0.1.0"
