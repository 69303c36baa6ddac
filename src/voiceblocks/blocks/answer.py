"""Answer: the block that nobody asks for. A call comes in, and its notification says so.

It has no path; the call is answered by the first Middle block that the application
sends. Its name appears in notifications and as a session's first block.
"""

from __future__ import annotations

from typing import Final

from voiceblocks.blocks.command import BlockKind

BLOCK: Final = "answer"
KIND: Final = BlockKind.START
