"""A node, its phones and an application on one virtual clock, in one process, without a network.

The code is the product's: SIP, RTP, media worker, recordings, workflows, API. What is put in the
place of processes, sockets and threads stands in this package, and in decision 55 with reasons.
Applications' authors begin at `voice.Voice`, or with the pytest plugin that makes one.
"""
