"""Pivots as a very slow video: each is coded against the one before it, for a sixth of a picture of its own.

A chain is one low-delay AV1 stream (AV1 Bitstream and Decoding Process Specification): link 0 is a key frame, every
later link depends on the link before it and on nothing else. Encoder and decoder stay in step as long as links are
decoded in order, none left out; where that fails, the sender starts a new chain. Nothing here does I/O.

A chain's quality stays: no AV1, VP9 or HEVC encoder that PyAV opens takes another one while it runs. A budget in
kbit/s therefore sets the quality of the next chain (`rate_factor`), and, by the selector, how often a link is added.
Where a key frame must be coarse to fit, its links are finer than it: else faces that turn melt in a room with texture.
A moved crop does not need another chain: its link, too, is smaller than a key frame. `docs/pivots.md` has the figures.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import av
import numpy as np

from avcall.common.errors import ProtocolError
from avcall.common.keypoints import Image
from avcall.common.pivot_format import CHAINS, PivotCodec
from avcall.models import pivot_codec
from avcall.models.svt_av1 import open_svt_av1

PRESET = 4
"""Of SVT-AV1: twice the time of preset 6, in a worker that nothing waits for, and a face that turned is not left in
blocks (`avcall bench pivot-chain`)."""
PROBE_PRESET = 8
"""How coarse a key frame must be is found with this preset, in a tenth of the time; key frames are a little larger."""
MAX_LINKS = 2**16
"""Links count in 16 bits."""
HALVING = 10.4
"""Steps of crf that halve a key frame, measured with preset 6."""
TOO_FINE, TOO_COARSE = 10, 5
"""Steps of crf from which another chain is worth its key frame."""
QUICK_CRF, COARSEST_CRF = 50, 55
SETTLED_LINKS = 8
"""No chain is given up for its quality before it has had so many."""
UNBOUNDED_S = 3600.0
"""Seconds of any budget that no key frame takes."""
LEAST_KEY_BYTES = 2700
"""However small the budget: a usual picture fits at QUICK_CRF."""
LOW_DELAY = "pred-struct=1:lookahead=0:scd=0:lp=1"
LINKS_COARSER = 10
"""Steps of crf by which the links of a chain whose key frame had to be coarse are coarser than the budget has them."""
KEY_BELOW, LINKS_BELOW = 19, 4
"""Steps of the quantiser by which crf codes key frames, and links, more finely than it says, on val clips."""
MOST_OFFSET = 63
"""Of a key frame's quantiser against its links', in quarters of a step."""
BOOST = "enable-variance-boost=1:variance-boost-strength=1"
"""Spends more on smooth parts with little contrast, as skin is."""
_BUDGETS_KBPS = (1.0, 2.0, 4.0, 8.0, 16.0)
_RATE_FACTORS = (50, 45, 40, 36, 33, 30)
"""Between two budgets of _BUDGETS_KBPS. Few good links beat many coarse ones, on val clips with preset 6."""


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


def open_chain(width: int, height: int, crf: int, preset: int = PRESET, boost: str = BOOST) -> Any:
    """An `av.CodecContext` that codes one picture at a time into the links of one chain."""
    parameters = ":".join(filter(None, (LOW_DELAY, boost)))
    options = {"preset": str(preset), "crf": str(crf), "g": "-1", "svtav1-params": parameters}
    return open_svt_av1(width, height, options)


def open_uneven_chain(width: int, height: int, key_crf: int, links_crf: int, preset: int = PRESET) -> Any:
    """As `open_chain`, with a key frame about as coarse as one crf has it, and links about as fine as another."""
    quantiser = links_crf - LINKS_BELOW
    offset = max(-MOST_OFFSET, min(MOST_OFFSET, 4 * (key_crf - KEY_BELOW - quantiser)))
    parameters = f"{LOW_DELAY}:{BOOST}:use-fixed-qindex-offsets=1:key-frame-qindex-offset={offset}"
    options = {"preset": str(preset), "qp": str(quantiser), "g": "-1", "svtav1-params": parameters}
    return open_svt_av1(width, height, options)


def code_chain(images: Sequence[Image], crf: int) -> tuple[list[Image], int]:
    """One chain of pictures (H, W, 3) of one size as its receiver decodes them, and the bytes of its links.

    Raises:
        ProtocolError: the coder of this PyAV does not give one picture for each.
    """
    if not images:
        return [], 0
    height, width = images[0].shape[:2]
    stream, decoder = open_chain(width, height, crf), ChainDecoder(width, height)
    links = [_code(stream, _frame(image), number) for number, image in enumerate(images)]
    return [decoder.decode(link) for link in links], sum(map(len, links))


class PivotEncoder(Protocol):
    """Makes the pivots of a call, one after another."""

    def set_budget(self, budget_kbps: float) -> None:
        """What all pivots together should take."""

    def restart(self) -> None:
        """The next pivot must need nothing else."""

    @property
    def successor_bytes(self) -> float | None:
        """About what it would take to go on, after `restart`, in a quality that suits the budget; None where that is
        not worth it."""

    def encode(self, image: Image) -> CodedPivot:
        """The next pivot."""


class PivotVideoEncoder:
    """Codes pictures into chains."""

    def __init__(
        self, budget_kbps: float, *, quick_start: bool = False, key_s: float = UNBOUNDED_S, preset: int = PRESET
    ) -> None:
        """
        Args:
            budget_kbps: what links should take together.
            quick_start: the key frame of the first chain is coarse, so that it arrives soon. Its links are coded for
                `budget_kbps` whatever is set before it begins: little is known about the path then, and a chain for the
                least would stay for the first half minute.
            key_s: no key frame takes more than so many seconds of the budget, as far as COARSEST_CRF and
                LEAST_KEY_BYTES let that be: chains are as coarse as that needs.
            preset: of SVT-AV1.
        """
        self._key_s = key_s
        self._first_crf = rate_factor(budget_kbps)
        self.set_budget(budget_kbps)
        self._chain_crf, self._key_bytes = 0, 0
        self._quick = quick_start
        self._preset = preset
        self._chain = CHAINS - 1
        self._link = 0
        self._size = (0, 0)
        self._restart = True
        self._stream: Any = None
        self._decoder = ChainDecoder(1, 1)

    def set_budget(self, budget_kbps: float) -> None:
        """What links should take together: chains begun from now on are coded for it."""
        self._crf = rate_factor(budget_kbps)
        self._most_key_bytes = max(LEAST_KEY_BYTES, self._key_s * budget_kbps * 1000.0 / 8.0)

    def restart(self) -> None:
        """The next picture begins a new chain."""
        self._restart = True

    @property
    def successor_bytes(self) -> float | None:
        """About what the key frame of a better chain would take, by the running chain's; None while that one is young,
        or good enough: a key frame costs six links."""
        if self._link < SETTLED_LINKS:
            return None
        fits = self._chain_crf + HALVING * math.log2(self._key_bytes / self._most_key_bytes)
        crf = min(COARSEST_CRF, max(self._crf, fits))
        if -TOO_FINE < self._chain_crf - crf < TOO_COARSE:
            return None
        return float(self._key_bytes * 2.0 ** ((self._chain_crf - crf) / HALVING))

    def encode(self, image: Image) -> CodedPivot:
        """The next link; a new chain where the size has changed or `restart` was called."""
        height, width = image.shape[:2]
        frame = _frame(image)
        if self._restart or self._size != (width, height) or self._link + 1 == MAX_LINKS:
            data = self._begin(frame)
        else:
            self._link += 1
            data = _code(self._stream, frame, self._link)
        return CodedPivot(PivotCodec.AV1_CHAIN, data, self._decoder.decode(data), self._chain, self._link)

    def _begin(self, frame: av.VideoFrame) -> bytes:
        """A new chain's key frame, as coarse as it must be to fit."""
        width, height = frame.width, frame.height
        self._chain, self._link, self._size = (self._chain + 1) % CHAINS, 0, (width, height)
        self._decoder = ChainDecoder(width, height)
        chain_crf = self._first_crf if self._quick else self._crf
        crf = max(QUICK_CRF, chain_crf) if self._quick else chain_crf
        self._quick = self._restart = False
        links_crf = chain_crf + LINKS_COARSER
        if self._key_s < UNBOUNDED_S:
            crf, _ = self._fitting(frame, crf, links_crf, max(self._preset, PROBE_PRESET))
        crf, data = self._fitting(frame, crf, links_crf, self._preset)
        self._chain_crf, self._key_bytes = crf, len(data)
        return data

    def _fitting(self, frame: av.VideoFrame, crf: int, links_crf: int, preset: int) -> tuple[int, bytes]:
        """The key frame, coded again and more coarsely until it fits, and its crf; leaves its chain open, whose links
        are no coarser than `links_crf`."""
        while True:
            if crf > links_crf:
                self._stream = open_uneven_chain(frame.width, frame.height, crf, links_crf, preset)
            else:
                self._stream = open_chain(frame.width, frame.height, crf, preset)
            data = _code(self._stream, frame, 0)
            if len(data) <= self._most_key_bytes or crf >= COARSEST_CRF:
                return crf, data
            steps = math.ceil(HALVING * math.log2(len(data) / self._most_key_bytes))
            crf = min(COARSEST_CRF, crf + max(1, steps))


class IntraPivotEncoder:
    """Codes every pivot on its own, at the best quality that fits a number of bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._encoder = pivot_codec.PivotEncoder()

    def set_budget(self, budget_kbps: float) -> None:
        """Nothing to do: how often there is a pivot is the selector's business."""

    def restart(self) -> None:
        """Nothing to do: each picture stands alone."""

    @property
    def successor_bytes(self) -> None:
        """None: each picture stands alone."""
        return None

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


def _frame(image: Image) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(format="yuv420p")


def _code(stream: Any, frame: av.VideoFrame, number: int) -> bytes:
    frame.pts = number
    return b"".join(bytes(packet) for packet in stream.encode(frame))


def _round_up(side: int) -> int:
    """FFmpeg counts a buffer's pixels, whose rows it aligns to 64, and dav1d's to 128."""
    return (side + 127) // 128 * 128
