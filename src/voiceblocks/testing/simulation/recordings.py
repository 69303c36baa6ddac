"""A finished recording, as a test looks at it."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from voiceblocks.client import Notification


@dataclass(frozen=True, slots=True)
class SimulatedRecording:
    """A finished recording, fetched by the link that the application was told."""

    url: str
    content: bytes
    "Of the file: MP3, or what was asked for."
    notification: Notification

    @property
    def samples(self) -> NDArray[np.int16]:
        """Decoded, 8 kHz; of both sides of a call two columns."""
        samples, _rate_hz = soundfile.read(io.BytesIO(self.content), dtype="int16")
        decoded: NDArray[np.int16] = samples
        return decoded

    @property
    def duration_s(self) -> float:
        """As the application was told it."""
        told = self.notification.parameters
        return int(told.get("record_ms") or told.get("monitor_ms") or 0) / 1000
