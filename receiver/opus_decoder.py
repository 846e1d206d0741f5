"""Opus decoding with libopus' own concealment and in-band FEC, through ctypes.

PyAV's wrapper cannot ask for either, so this binds the very libopus that PyAV carries (or the system's). Where
neither can be loaded, `avcall.receiver.opus_fallback` decodes through PyAV, without FEC.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import logging
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from numpy.typing import NDArray

from avcall.common.errors import ProtocolError
from avcall.common.frames import SAMPLE_RATE

MAX_PACKET_SAMPLES = SAMPLE_RATE * 120 // 1000
"""RFC 6716: a packet holds at most 120 ms."""
MAX_PACKET_BYTES = 1275
Samples = NDArray[np.int16]
_log = logging.getLogger(__name__)


class OpusDecoder(Protocol):
    """Turns packets into int16 mono samples at SAMPLE_RATE; keeps state, so packets go in by sequence."""

    def decode(self, packet: bytes) -> Samples:
        """One packet.

        Raises:
            ProtocolError: not an Opus packet.
        """

    def decode_fec(self, next_packet: bytes, samples: int) -> Samples:
        """The lost packet of `samples` samples before `next_packet`, from what that one repeats of it; where it repeats
        nothing, the loss is concealed."""

    def conceal(self, samples: int) -> Samples:
        """`samples` samples (a multiple of 2.5 ms) that continue what was heard last."""


def packet_samples(packet: bytes) -> int:
    """Samples at SAMPLE_RATE in a packet, from its table-of-contents byte (RFC 6716 section 3.1).

    Raises:
        ProtocolError: empty, too long, or more than 120 ms.
    """
    if not 1 <= len(packet) <= MAX_PACKET_BYTES:
        raise ProtocolError(f"an Opus packet of {len(packet)} bytes")
    toc = packet[0]
    config = toc >> 3
    if config < 12:
        frame = SAMPLE_RATE * (10, 20, 40, 60)[config % 4] // 1000
    elif config < 16:
        frame = SAMPLE_RATE * (10, 20)[config % 2] // 1000
    else:
        frame = (SAMPLE_RATE // 400) << (config % 4)
    code = toc & 3
    if code == 3 and len(packet) < 2:
        raise ProtocolError("a truncated Opus packet")
    count = (1, 2, 2)[code] if code < 3 else packet[1] & 0x3F
    if not 1 <= count * frame <= MAX_PACKET_SAMPLES:
        raise ProtocolError(f"an Opus packet of {count * frame} samples")
    return count * frame


def has_fec(packet: bytes) -> bool:
    """True where a packet repeats the one before it (RFC 6716 section 4.2.3: the LBRR flag follows the VAD flags).

    libopus repeats nothing below some 12 to 17 kbit/s, whatever it was asked for.
    """
    config = packet[0] >> 3
    if config >= 16 or packet[0] & 3 or len(packet) < 2:
        return False
    flags = max(1, packet_samples(packet) * 50 // SAMPLE_RATE)
    return bool(packet[1] >> (7 - flags) & 1)


def make_opus_decoder() -> OpusDecoder:
    """The best decoder this machine has."""
    for path in _candidates():
        try:
            return LibOpusDecoder(ctypes.CDLL(path))
        except (OSError, AttributeError) as error:
            _log.debug("libopus at %s cannot be used: %s", path, error)
    from avcall.receiver.opus_fallback import PyAvOpusDecoder

    _log.warning("libopus was not found: lost speech is concealed, but not recovered (install libopus)")
    return PyAvOpusDecoder()


def _candidates() -> list[str]:
    package = Path(av.__file__).parent
    folders = (package.parent / "av.libs", package / ".dylibs", package)
    bundled = [str(path) for folder in folders for path in sorted(folder.glob("*opus*")) if path.is_file()]
    system = ctypes.util.find_library("opus")
    return [path for path in bundled if "enc" not in path.lower()] + ([system] if system else [])


class LibOpusDecoder:
    """libopus itself (opus_decoder_create, opus_decode)."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._lib = library
        library.opus_decoder_create.restype = ctypes.c_void_p
        library.opus_decoder_create.argtypes = [ctypes.c_int32, ctypes.c_int, ctypes.POINTER(ctypes.c_int)]
        library.opus_decoder_destroy.restype = None
        library.opus_decoder_destroy.argtypes = [ctypes.c_void_p]
        library.opus_decode.restype = ctypes.c_int
        library.opus_decode.argtypes = [
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.c_int32,
            ctypes.POINTER(ctypes.c_int16),
            ctypes.c_int,
            ctypes.c_int,
        ]
        error = ctypes.c_int()
        self._state: int | None = library.opus_decoder_create(SAMPLE_RATE, 1, ctypes.byref(error))
        if not self._state or error.value:
            raise OSError(f"opus_decoder_create failed with {error.value}")

    def __del__(self) -> None:
        state = getattr(self, "_state", None)
        if state:
            self._state = None
            self._lib.opus_decoder_destroy(state)

    def decode(self, packet: bytes) -> Samples:
        packet_samples(packet)
        return self._run(packet, MAX_PACKET_SAMPLES, fec=0)

    def decode_fec(self, next_packet: bytes, samples: int) -> Samples:
        packet_samples(next_packet)
        return self._run(next_packet, _whole(samples), fec=1)

    def conceal(self, samples: int) -> Samples:
        return self._run(None, _whole(samples), fec=0)

    def _run(self, packet: bytes | None, room: int, fec: int) -> Samples:
        pcm = np.zeros(room, np.int16)
        pointer = pcm.ctypes.data_as(ctypes.POINTER(ctypes.c_int16))
        size = len(packet) if packet is not None else 0
        count = self._lib.opus_decode(self._state, packet, size, pointer, room, fec)
        if count < 0:
            raise ProtocolError(f"an Opus packet of {size} bytes that libopus refuses ({count})")
        return pcm[:count]


def _whole(samples: int) -> int:
    """Concealment and FEC come in steps of 2.5 ms, at most 120 ms."""
    step = SAMPLE_RATE // 400
    return min(MAX_PACKET_SAMPLES, max(step, samples // step * step))
