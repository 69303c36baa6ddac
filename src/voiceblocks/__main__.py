"""`python -m voiceblocks` is the same as `voiceblocks`."""

from voiceblocks.cli import main

main()
