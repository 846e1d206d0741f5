"""RNNoise from the package pyrnnoise, for `avcall.bench.voice_noise`. No call uses it: docs/voice.md says why.

The library inside the package is called directly, because importing the package wants audio readers that nothing here
needs.
"""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avcall.common.errors import InputError
from avcall.common.frames import SAMPLE_RATE

PACKAGE = "pyrnnoise==0.4.5"
RATE_48K = 3
"""RNNoise works at 48 kHz: samples for each of SAMPLE_RATE."""
FRAME = SAMPLE_RATE // 100
TAPS = 97
_SUFFIXES = (".so", ".dylib", ".dll")


class Resampler48k:
    """To 48 kHz and back by one linear-phase filter, frame by frame; there and back again takes TAPS - 1 samples of
    48 kHz."""

    def __init__(self) -> None:
        at = np.arange(TAPS) - (TAPS - 1) / 2
        taps = np.sinc(0.96 * at / RATE_48K) * np.kaiser(TAPS, 7.0)
        self._taps = taps / taps.sum()
        self._up = np.zeros(TAPS - 1)
        self._down = np.zeros(TAPS - 1)

    def up(self, samples: NDArray[Any]) -> NDArray[np.float32]:
        """(n,) at SAMPLE_RATE to (3n,) at 48 kHz."""
        spread = np.zeros(RATE_48K * len(samples))
        spread[::RATE_48K] = RATE_48K * samples.astype(np.float64)
        joined = np.concatenate([self._up, spread])
        self._up = joined[-(TAPS - 1) :]
        return np.convolve(joined, self._taps, "valid").astype(np.float32)

    def down(self, samples: NDArray[np.float32]) -> NDArray[np.float64]:
        """(3n,) at 48 kHz to (n,) at SAMPLE_RATE."""
        joined = np.concatenate([self._down, samples])
        self._down = joined[-(TAPS - 1) :]
        return np.convolve(joined, self._taps, "valid")[::RATE_48K]


class RNNoise:
    """One voice's noise suppressor."""

    delay = 2 * FRAME + (TAPS - 1) // RATE_48K
    """Samples by which `suppress` is late: RNNoise's window and look-ahead of 10 ms each, and both resamplers."""

    def __init__(self) -> None:
        """
        Raises:
            InputError: the package is missing or has no library for this machine.
        """
        self._library = _library()
        self._state: int | None = self._library.rnnoise_create(None)
        self._resampler = Resampler48k()

    def __del__(self) -> None:
        state = getattr(self, "_state", None)
        if state:
            self._state = None
            self._library.rnnoise_destroy(state)

    def suppress(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """As many samples as were given, a multiple of FRAME; they are those of `delay` samples earlier."""
        parts = []
        for frame in samples.reshape(-1, FRAME):
            wide = self._resampler.up(frame)
            pointer = wide.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            self._library.rnnoise_process_frame(self._state, pointer, pointer)
            parts.append(self._resampler.down(wide))
        return np.clip(np.rint(np.concatenate(parts)), -32768, 32767).astype(np.int16)


def _library() -> ctypes.CDLL:
    found = importlib.util.find_spec("pyrnnoise")
    folders = found.submodule_search_locations if found else None
    files = [path for folder in folders or () for path in Path(folder).glob("*rnnoise*") if path.suffix in _SUFFIXES]
    if not files:
        raise InputError(f"RNNoise is missing: pip install --no-deps {PACKAGE}")
    try:
        library = ctypes.CDLL(str(files[0]))
    except OSError as error:
        raise InputError(f"{files[0].name} of {PACKAGE} cannot be loaded on this machine ({error})") from error
    floats = ctypes.POINTER(ctypes.c_float)
    library.rnnoise_create.restype = ctypes.c_void_p
    library.rnnoise_create.argtypes = [ctypes.c_void_p]
    library.rnnoise_destroy.restype = None
    library.rnnoise_destroy.argtypes = [ctypes.c_void_p]
    library.rnnoise_process_frame.restype = ctypes.c_float
    library.rnnoise_process_frame.argtypes = [ctypes.c_void_p, floats, floats]
    return library
