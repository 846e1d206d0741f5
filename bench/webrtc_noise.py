"""WebRTC's noise suppressor from the package webrtc-noise-gain, for `avcall.bench.voice_noise`: what RNNoise is
compared with."""

from __future__ import annotations

import importlib

import numpy as np
from numpy.typing import NDArray

from avcall.common.errors import InputError
from avcall.common.frames import SAMPLE_RATE

PACKAGE = "webrtc-noise-gain==1.3.0"
FRAME = SAMPLE_RATE // 100
LEVEL = 2
"""Of 0 to 4, as the package suggests."""


class WebRtcNoise:
    """One voice's noise suppressor."""

    delay = 96
    """Samples by which `suppress` is late: its windows of 16 ms overlap by 6."""

    def __init__(self) -> None:
        """
        Raises:
            InputError: the package is missing.
        """
        try:
            module = importlib.import_module("webrtc_noise_gain")
        except ImportError as error:
            raise InputError(f"WebRTC's noise suppressor is missing: pip install {PACKAGE}") from error
        self._processor = module.AudioProcessor(0, LEVEL)

    def suppress(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """As many samples as were given, a multiple of FRAME; they are those of `delay` samples earlier."""
        frames = (self._processor.Process10ms(frame.tobytes()).audio for frame in samples.reshape(-1, FRAME))
        return np.frombuffer(b"".join(frames), dtype=np.int16)
