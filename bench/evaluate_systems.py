"""The systems an evaluation knows by name, besides every model that `--model` takes."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

from avcall.bench.evaluate_config import CARRIED, LITE, WARP_ONLY
from avcall.bench.virtual_time import InlineExecutor
from avcall.common.clock import monotonic_ms
from avcall.common.keypoints import Image, Keypoints
from avcall.common.scene import STILL, SceneMotion
from avcall.common.stats import Stats
from avcall.models.interfaces import Encoded, KeypointDetector, ModelId, Reenactor
from avcall.models.reenactment.reenactor import NetworkReenactor
from avcall.models.registry import load_pair
from avcall.receiver.late_drive import LateDrive, WarpDrive

Pair: TypeAlias = tuple[KeypointDetector, Reenactor]


class _Part:
    """The lite reenactor's pivots, driven by a part of it."""

    moves_scene: ClassVar[Literal[True]] = True

    def __init__(self, whole: NetworkReenactor) -> None:
        self._whole = whole

    @property
    def model(self) -> ModelId:
        return self._whole.model

    @property
    def device(self) -> str:
        return self._whole.device

    def encode(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        """See `Reenactor.encode`."""
        return self._whole.encode(pivot, keypoints)

    def encode_uncoded(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        """See `RepairsPivots`."""
        return self._whole.encode_uncoded(pivot, keypoints)

    def follow(self, encoded: Encoded, other: Encoded) -> Encoded:
        """See `FollowsPivots`."""
        return self._whole.follow(encoded, other)


class WarpOnly(_Part):
    """Its repaired pivots warped, without the network: what a call shows on a machine without time for that."""

    def drive(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Image:
        """The pivot moved to the driving keypoints, in the pivot's size."""
        return WarpDrive(self._whole).drive(encoded, keypoints, scene)


class Carried(_Part):
    """Its network looks at two pictures of five and is one late, as in a call on a machine without time for more."""

    def __init__(self, whole: NetworkReenactor) -> None:
        super().__init__(whole)
        self._late = LateDrive(whole, InlineExecutor(), TwoOfFive(), monotonic_ms, Stats())

    def drive(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Image:
        """The pivot moved to the driving keypoints, in the pivot's size."""
        return self._late.drive(encoded, keypoints, scene)


class TwoOfFive:
    """A `Pace` in pictures instead of time: after two and three pictures in turn, so that what looks at every so many
    sees all ages of a residual."""

    def __init__(self) -> None:
        self._rested, self._rests = 0, 2

    def due(self) -> bool:
        """See `Pace`."""
        self._rested += 1
        return self._rested == self._rests

    def took(self, start_ms: float, end_ms: float) -> None:
        """See `Pace`."""
        self._rested, self._rests = 0, 5 - self._rests


def load_system(name: str, device: str) -> Pair:
    """The detector and reenactor of a system or model; REPEAT_PIVOT has none and is not asked for.

    Raises:
        ConfigError: no such model. CheckpointError: its weights are missing or damaged.
    """
    if name not in (WARP_ONLY, CARRIED):
        return load_pair(name, device)
    detector, whole = load_pair(LITE, device)
    assert isinstance(whole, NetworkReenactor)
    return detector, Carried(whole) if name == CARRIED else WarpOnly(whole)
