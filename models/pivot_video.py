"""Pivots as a very slow video: each is coded against the one before it, for a sixth of a picture of its own.

A chain is one low-delay AV1 stream (AV1 Bitstream and Decoding Process Specification): link 0 is a key frame, every
later link depends on the link before it and on nothing else. Encoder and decoder stay in step as long as links are
decoded in order, none left out; where that fails, the sender starts a new chain. Nothing here does I/O.

A chain has one quality: no AV1, VP9 or HEVC encoder that PyAV opens takes another one while it runs. A budget in
kbit/s therefore sets the quality of the next chain (`rate_factor`), and, by the selector, how often a link is added.
Also for pictures whose crop has moved: measured on four val/ clips, a link costs 180-1650 bytes then, a key frame
1,900-4,900. `docs/pivots.md` has the figures.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, Protocol

import av
import numpy as np

from avcall.common.errors import ProtocolError
from avcall.common.keypoints import Image
from avcall.common.pivot_format import CHAINS, PivotCodec
from avcall.models import pivot_codec
from avcall.models.svt_av1 import open_svt_av1

PRESET = 6
"""Of SVT-AV1: 7 ms a link and 30 ms a key frame at 256x256; presets 4 and 5 save 7 and 2 % of a link's bytes."""
MAX_LINKS = 2**16
"""Links count in 16 bits."""
FAR_OFF = 10
"""Steps of crf: about a factor of two in bytes."""
QUICK_CRF, NEAR_BY = 50, 5
"""A quick start's key frame takes 2.7 kB where one at crf 40 takes 5.2."""
SETTLED_LINKS = 8
"""No chain is given up for its quality before it has had so many."""
_LOW_DELAY = "pred-struct=1:lookahead=0:scd=0:lp=1"
_BUDGETS_KBPS = (1.0, 2.0, 4.0, 8.0, 16.0)
_RATE_FACTORS = (50, 45, 40, 36, 33, 30)
"""Between two budgets of _BUDGETS_KBPS. Few good links beat many coarse ones: at 3 kbit/s on four val/ clips crf 40, 45
and 50 gave LPIPS 0.142, 0.159 and 0.184 with 2.5, 4.0 and 5.2 links each; at 1.5 kbit/s crf 45, 50 and 55 0.152, 0.166
and 0.193."""


@dataclass(frozen=True, slots=True)
class CodedPivot:
    """A pivot's picture as it is sent, and as both ends see it."""

    codec: PivotCodec
    data: bytes
    shown: Image
    """What the receiver's decoder gives: the same pixels, bit for bit."""
    chain: int = 0
    link: int = 0
    """0: needs nothing else. n: needs link n - 1 of the same chain."""


def rate_factor(budget_kbps: float) -> int:
    """The SVT-AV1 crf that makes the best of `budget_kbps`, with a link every one to two seconds at 256x256."""
    return _RATE_FACTORS[bisect_right(_BUDGETS_KBPS, budget_kbps)]


class PivotEncoder(Protocol):
    """Makes the pivots of a call, one after another."""

    def set_budget(self, budget_kbps: float) -> None:
        """What all pivots together should take."""

    def restart(self) -> None:
        """The receiver lacks something: the next pivot must need nothing else."""

    def encode(self, image: Image) -> CodedPivot:
        """The next pivot."""


class PivotVideoEncoder:
    """Codes pictures into chains."""

    def __init__(self, budget_kbps: float, *, quick_start: bool = False, preset: int = PRESET) -> None:
        """`quick_start`: the first chain is coarse, so that its key frame arrives soon; a better one follows when it
        has settled."""
        self._crf = rate_factor(budget_kbps)
        self._chain_crf = 0
        self._quick = quick_start
        self._preset = preset
        self._chain = CHAINS - 1
        self._link = 0
        self._size = (0, 0)
        self._restart = True
        self._stream: Any = None
        self._decoder = ChainDecoder(1, 1)

    def set_budget(self, budget_kbps: float) -> None:
        """What links should take together. Chains begun from now on are coded for it; the
        running one is given up only where it is far off, because its successor's key frame costs six links."""
        self._crf = rate_factor(budget_kbps)

    def restart(self) -> None:
        """The next picture begins a new chain: the receiver lacks something of this one."""
        self._restart = True

    def encode(self, image: Image) -> CodedPivot:
        """The next link; a new chain where the size has changed or `restart` was called."""
        height, width = image.shape[:2]
        if self._restart or self._outdated or self._size != (width, height) or self._link + 1 == MAX_LINKS:
            self._begin(width, height)
        else:
            self._link += 1
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(format="yuv420p")
        frame.pts = self._link
        data = b"".join(bytes(packet) for packet in self._stream.encode(frame))
        return CodedPivot(PivotCodec.AV1_CHAIN, data, self._decoder.decode(data), self._chain, self._link)

    @property
    def _outdated(self) -> bool:
        far = NEAR_BY if self._chain_crf == QUICK_CRF else FAR_OFF
        return self._link >= SETTLED_LINKS and abs(self._crf - self._chain_crf) >= far

    def _begin(self, width: int, height: int) -> None:
        self._chain_crf = max(QUICK_CRF, self._crf) if self._quick else self._crf
        self._quick = False
        options = {"preset": str(self._preset), "crf": str(self._chain_crf), "g": "-1", "svtav1-params": _LOW_DELAY}
        self._stream = open_svt_av1(width, height, options)
        self._decoder = ChainDecoder(width, height)
        self._chain, self._link, self._size = (self._chain + 1) % CHAINS, 0, (width, height)
        self._restart = False


class IntraPivotEncoder:
    """Codes every pivot on its own, at the best quality that fits a number of bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._encoder = pivot_codec.PivotEncoder()

    def set_budget(self, budget_kbps: float) -> None:
        """Nothing to do: how often there is a pivot is the selector's business."""

    def restart(self) -> None:
        """Nothing to do: each picture stands alone."""

    def encode(self, image: Image) -> CodedPivot:
        """The picture on its own."""
        height, width = image.shape[:2]
        codec, data = self._encoder.encode(image, self._max_bytes)
        return CodedPivot(codec, data, pivot_codec.decode_pivot(codec, data, width, height))


class ChainDecoder:
    """Decodes the links of one chain, in order."""

    def __init__(self, width: int, height: int) -> None:
        self._size = width, height
        self._decoder: Any = av.CodecContext.create("libdav1d", "r")
        self._decoder.thread_count = 1
        pixels = _round_up(width) * _round_up(height)
        self._decoder.options = {"max_pixels": str(pixels), "max_frame_delay": "1", "err_detect": "explode"}

    def decode(self, data: bytes) -> Image:
        """The link's picture.

        Raises:
            ProtocolError: bytes that are not exactly one picture of the chain's size. The chain is then of no more use.
        """
        try:
            frames = self._decoder.decode(av.Packet(data))
        except (av.FFmpegError, ValueError, MemoryError) as error:
            raise ProtocolError("a link of a pivot chain that cannot be decoded") from error
        if len(frames) != 1:
            raise ProtocolError(f"a link of a pivot chain with {len(frames)} pictures in it")
        if (frames[0].width, frames[0].height) != self._size:
            raise ProtocolError(f"a link of {frames[0].width}x{frames[0].height} in a chain of another size")
        return np.asarray(frames[0].to_ndarray(format="rgb24"), dtype=np.uint8)


def _round_up(side: int) -> int:
    """FFmpeg counts a buffer's pixels, whose rows it aligns to 64, and dav1d's to 128."""
    return (side + 127) // 128 * 128
