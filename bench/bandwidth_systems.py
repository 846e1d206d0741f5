"""What the benchmark asks of a system, and the video codecs' answer (`bandwidth_avcall` has avcall's)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from avcall.bench.bandwidth_config import FPS
from avcall.bench.bandwidth_search import QualitySearch
from avcall.bench.codecs import Codec, Ffmpeg
from avcall.bench.codecs_stream import Stream, held, spans, wire_bytes
from avcall.common.keypoints import Image


@dataclass(frozen=True, slots=True)
class Setting:
    """What a system is set to before its quality is chosen."""

    side: int
    """Of the pictures coded; they are scaled to the display."""
    fps: float
    """Pictures a second that move; each is held until the next."""
    pivot_s: float = 0.0
    """avcall: seconds from pivot to pivot."""

    @property
    def label(self) -> str:
        pivots = f"pivot every {self.pivot_s:g} s" if self.pivot_s else f"{self.fps:g} fps"
        return f"{self.side} px, {pivots}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A setting at the finest quality that fits a budget."""

    setting: Setting
    quality: int
    payload: dict[str, int]
    """Bytes by kind."""
    wire_bytes: int
    fits: bool
    """False: even the coarsest quality takes more than the budget; this is it."""

    @property
    def payload_bytes(self) -> int:
        return sum(self.payload.values())


class Runner(Protocol):
    """A system at work on one clip."""

    def fit(self, setting: Setting, budget_bytes: int) -> Candidate:
        """The finest quality of a setting that fits."""

    def shown(self, candidate: Candidate) -> list[Image]:
        """What a viewer sees, one picture a display tick."""

    def glimpse(self, candidate: Candidate, ticks: list[int]) -> list[Image]:
        """The pictures at some ticks only."""


@dataclass(frozen=True, slots=True)
class System:
    """A system by name; `key` is what its cells depend on besides the clip: other values make old cells void."""

    name: str
    title: str
    key: dict[str, Any]
    open: Callable[[Any], Runner]
    low_delay: bool = True
    version: str = ""


class CodecRunner:
    """A codec on one clip: `frames` are what is shown at best, one a display tick."""

    def __init__(self, ffmpeg: Ffmpeg, codec: Codec, frames: list[Image]) -> None:
        self._ffmpeg, self._codec, self._frames = ffmpeg, codec, frames
        self._planar: dict[Setting, tuple[bytes, list[int]]] = {}
        self._streams: dict[tuple[Setting, int], Stream] = {}
        self._searches: dict[Setting, QualitySearch] = {}

    def fit(self, setting: Setting, budget_bytes: int) -> Candidate:
        if setting not in self._searches:
            self._searches[setting] = QualitySearch(
                lambda quality: self._encode(setting, quality).payload_bytes,
                self._codec.finest,
                self._codec.coarsest,
                self._codec.guess,
            )
        quality = self._searches[setting].best(budget_bytes)
        stream = self._encode(setting, self._codec.coarsest if quality is None else quality)
        packets = len(self._prepared(setting)[1]) if stream.packets is None else stream.packets
        return Candidate(
            setting,
            self._codec.coarsest if quality is None else quality,
            {"video": stream.payload_bytes},
            wire_bytes(stream.payload_bytes, packets),
            quality is not None,
        )

    def shown(self, candidate: Candidate) -> list[Image]:
        stream, starts = self._encode(candidate.setting, candidate.quality), self._prepared(candidate.setting)[1]
        side = self._frames[0].shape[0]
        decoded = self._ffmpeg.decode(stream, candidate.setting.fps, len(starts), side)
        lengths = spans(starts, len(self._frames))
        return [image for image, ticks in zip(decoded, lengths, strict=True) for _ in range(ticks)]

    def glimpse(self, candidate: Candidate, ticks: list[int]) -> list[Image]:
        shown = self.shown(candidate)
        return [shown[tick] for tick in ticks]

    def _prepared(self, setting: Setting) -> tuple[bytes, list[int]]:
        """The encoder's input, and at which display tick each frame of it begins."""
        if setting not in self._planar:
            starts = held(len(self._frames), setting.fps, FPS)
            chosen = [self._frames[start] for start in starts]
            self._planar[setting] = self._ffmpeg.planar(chosen, setting.side), starts
        return self._planar[setting]

    def _encode(self, setting: Setting, quality: int) -> Stream:
        if (setting, quality) not in self._streams:
            planar = self._prepared(setting)[0]
            self._streams[setting, quality] = self._ffmpeg.encode(
                self._codec, planar, setting.side, setting.fps, quality
            )
        return self._streams[setting, quality]
