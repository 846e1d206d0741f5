"""How a pivot's picture becomes bytes and back. Both ends use it; the bytes that arrive are hostile until decoded.

AV1 (PivotCodec.AVIF) is what an AVIF file holds without the file around it: one key frame's bare OBUs, some 300 bytes
less than the container. `bench/pivot_intra.py` compares it with WebP; `results/pivot_intra.json` holds the figures.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import av
import numpy as np

from avcall.common.errors import ProtocolError
from avcall.common.keypoints import Image
from avcall.common.wire import PivotCodec
from avcall.models.svt_av1 import open_svt_av1

AV1_PRESET = 6
BEST_CRF, WORST_CRF = 20, 63
FULL_ENOUGH = 0.88
"""Of the bytes allowed: from here on another trial, of 10 ms, gains less than half a decibel."""
LOG_SIZE_PER_CRF = 0.05
"""ln(bytes) falls by about this much a step of crf: a first guess of where the size fits, corrected by trial."""
DECODERS = {PivotCodec.AVIF: "libdav1d", PivotCodec.WEBP: "webp"}


class PivotEncoder:
    """Codes one picture after another at the best quality that fits a number of bytes. It begins each search at the
    setting that served the picture before, so that most pictures need one or two trials of 10 ms."""

    def __init__(self) -> None:
        self._crf = BEST_CRF

    def encode(self, image: Image, max_bytes: int) -> tuple[PivotCodec, bytes]:
        """As `encode_pivot`."""
        crf, too_large_to, fits_from = self._crf, BEST_CRF - 1, WORST_CRF + 1
        coded, best = b"", b""
        while too_large_to < crf < fits_from:
            coded = encode_av1(image, crf)
            if len(coded) <= max_bytes:
                best, fits_from = coded, crf
                if len(coded) >= FULL_ENOUGH * max_bytes:
                    break
            else:
                too_large_to = crf
            step = math.ceil(math.log(len(coded) / max_bytes) / LOG_SIZE_PER_CRF)
            crf = min(max(crf + step, too_large_to + 1), max(fits_from - 1, too_large_to + 1))
        self._crf = min(fits_from, WORST_CRF)
        return PivotCodec.AVIF, best or coded


def encode_pivot(image: Image, max_bytes: int) -> tuple[PivotCodec, bytes]:
    """The picture at the best quality that fits `max_bytes`; where none does, at the worst there is."""
    return PivotEncoder().encode(image, max_bytes)


def encode_av1(image: Image, crf: int, preset: int = AV1_PRESET) -> bytes:
    """One AV1 key frame by SVT-AV1; `crf` 1 (best) to 63."""
    options = {
        "preset": str(preset),
        "crf": str(crf),
        "svtav1-params": "avif=1:lookahead=0:scd=0:tune=0:lp=1",
    }
    height, width = image.shape[:2]
    return _encode(open_svt_av1(width, height, options), image)


def encode_webp(image: Image, quality: int) -> bytes:
    """One WebP picture by libwebp; `quality` 1 to 100 (best)."""
    encoder: Any = av.CodecContext.create("libwebp", "w")
    encoder.height, encoder.width = image.shape[:2]
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"quality": str(quality), "compression_level": "6", "preset": "photo"}
    return _encode(encoder, image)


def _encode(encoder: Any, image: Image) -> bytes:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(format="yuv420p")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def decode_pivot(codec: PivotCodec, data: bytes, width: int, height: int) -> Image:
    """The picture, which must be exactly `width` x `height`.

    Raises:
        ProtocolError: bytes that are not such a picture. The decoder itself refuses anything with more pixels, so a
            small packet cannot unfold into a large picture.
    """
    decoder: Any = av.CodecContext.create(DECODERS[codec], "r")
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(_round_up(width) * _round_up(height)), "err_detect": "explode"}
    try:
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
        if len(frames) != 1:
            raise ProtocolError(f"a pivot with {len(frames)} pictures in it")
        if (frames[0].width, frames[0].height) != (width, height):
            raise ProtocolError(f"a pivot of {frames[0].width}x{frames[0].height} announced as {width}x{height}")
        return np.asarray(frames[0].to_ndarray(format="rgb24"), dtype=np.uint8)
    except (av.FFmpegError, ValueError, MemoryError) as error:
        raise ProtocolError(f"a pivot that cannot be decoded ({codec.name})") from error


def _round_up(side: int) -> int:
    """FFmpeg counts a buffer's pixels, whose rows it aligns to 64."""
    return (side + 63) // 64 * 64
