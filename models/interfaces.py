"""Where any keypoint-based reenactment network plugs in. Read this file first.

    sender:    image -> FaceMesh -> KeypointDetector -> keypoints -> wire
    receiver:  pivot -> Reenactor.encode (once a pivot) -> Reenactor.drive (once a frame) -> SuperResolver -> Enhancer

Images at these seams are numpy uint8 (H, W, 3) RGB, keypoints float32 (K, 2) as in `avcall.common.keypoints`; tensors,
devices and foreign conventions stay inside an implementation. A weightless twin stands behind every Protocol in
`avcall.models.classical` and `avcall.models.twins`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Image, Keypoints, Landmarks
from avcall.common.scene import STILL, SceneMotion


@dataclass(frozen=True, slots=True)
class ModelId:
    """What the handshake compares: a detector and a reenactor are a pair and share one id."""

    name: str
    weights: str
    """First 8 hex digits of the sha256 of the weights (of the defining constants, where there are none)."""


class KeypointDetector(Protocol):
    """Finds the keypoints that travel, in a square crop."""

    @property
    def model(self) -> ModelId: ...

    def detect(self, image: Image, landmarks: Landmarks) -> Keypoints:
        """Keypoints of one crop. `landmarks` is the face mesh of the same crop, in its coordinates."""


class Encoded(Protocol):
    """What `Reenactor.encode` returns: a value only its reenactor looks into. Several may be alive at once."""


class Reenactor(Protocol):
    """Animates a real picture by keypoints."""

    @property
    def model(self) -> ModelId: ...

    @property
    def device(self) -> str:
        """Where it computes: "cpu" or "cuda"."""

    def encode(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        """All work that depends on the pivot alone; once a pivot."""

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        """The pivot moved to the driving keypoints, in the pivot's size; once a frame. Driving an encoded pivot by its
        own keypoints gives the pivot back, or nearly so."""


@dataclass(frozen=True, slots=True)
class Detailed:
    """One drive of a large pivot, made to be put together by a `SuperResolver`."""

    image: Image
    """The finished picture at the reenactor's working side."""
    reference: Image
    """The large pivot's own pixels, moved by the same flow; what the reenactor repairs or paints may be missing."""


@runtime_checkable
class DetailedReenactor(Protocol):
    """A reenactor that can move a large pivot's pixels without working at their size."""

    def drive_detailed(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Detailed | None:
        """As `drive`, in two parts; None where the pivot is not larger than the working side. Only what `MovesScene` is
        told `scene`."""


@runtime_checkable
class RepairsPivots(Protocol):
    """A reenactor that takes the coder's faults out of a pivot before it encodes it."""

    def encode_uncoded(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        """As `Reenactor.encode`, of a picture that no coder has touched."""


@runtime_checkable
class FollowsPivots(Protocol):
    """A reenactor that shows of other pivots what the pivot itself does not: teeth, where its mouth is shut."""

    def follow(self, encoded: Encoded, other: Encoded) -> Encoded:
        """The encoded pivot, from now on with what `other`, a pivot of the same call, and those that `other` followed
        have to lend. A new pivot follows the one before it; one that may be shown again follows the new one. Cheap."""


def followed(reenactor: object, encoded: Encoded, other: Encoded | None) -> Encoded:
    """`encoded` with what `other` has to lend, where the reenactor has a use for that."""
    return reenactor.follow(encoded, other) if other is not None and isinstance(reenactor, FollowsPivots) else encoded


class Drives(Protocol):
    """Moves pivots that its reenactor encoded."""

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        """As `Reenactor.drive`."""


@runtime_checkable
class MovesScene(Protocol):
    """Something that drives, also in a scene that has moved since the pivot: background and body go along."""

    moves_scene: ClassVar[Literal[True]]

    def drive(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Image:
        """As `Reenactor.drive`; without a face mesh, or any use for it, the scene may stand still all the same."""


def driven(drives: Drives, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion) -> Image:
    """The driven picture, in a scene that has moved where `drives` knows of such."""
    if isinstance(drives, MovesScene):
        return drives.drive(encoded, keypoints, scene)
    return drives.drive(encoded, keypoints)


def driven_detailed(drives: Drives, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion) -> Detailed | None:
    """As `driven`, in two parts; None where it makes them of no pivot, or not of this one."""
    if not isinstance(drives, DetailedReenactor):
        return None
    if isinstance(drives, MovesScene):
        return drives.drive_detailed(encoded, keypoints, scene)
    return drives.drive_detailed(encoded, keypoints)


@runtime_checkable
class Sketches(Protocol):
    """Something that drives, in a scene that may have moved, and more cheaply where eyes and mouth do not matter."""

    def sketch(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Image:
        """As `MovesScene.drive`, but for eyes and mouth."""


def sketched(drives: Drives, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion) -> Image:
    """The picture driven as cheaply as `drives` can, where eyes and mouth do not matter."""
    if isinstance(drives, Sketches):
        return drives.sketch(encoded, keypoints, scene)
    return driven(drives, encoded, keypoints, scene)


@runtime_checkable
class SharesFlow(Protocol):
    """Something that drives, and knows where a residual flow moves its pictures."""

    def flow_share(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion) -> NDArray[np.float32]:
        """How much of it each place of the driven picture follows, float32 (64, 64) in [0, 1]."""


@runtime_checkable
class LateReenactor(Protocol):
    """A reenactor whose network may be late: a picture is warped without it, and gets what the network last added to
    another picture of the same pivot, moved to where it belongs now. Warped pictures and residuals are values only the
    reenactor looks into. One thread may make residuals while another warps and finishes."""

    def warp(self, encoded: Encoded, keypoints: Keypoints, scene: SceneMotion = STILL) -> Any:
        """The picture without the network."""

    def residual(self, encoded: Encoded, warped: Any, keypoints: Keypoints) -> Any:
        """What the network adds to a warped picture: most of the time that `drive` takes."""

    def carry(self, encoded: Encoded, warped: Any, late: Any, shown: Any) -> Any:
        """The residual of another picture of the same encoded pivot, moved to where it belongs in this one; `shown` is
        what the picture before had, or None."""

    def finish(self, encoded: Encoded, warped: Any, here: Any) -> Image:
        """The warped picture with a residual that belongs to it; None: without one."""

    def details(self, encoded: Encoded) -> bool:
        """Whether the pivot is larger than the working side, so that its pictures come in two parts."""

    def finish_detailed(self, encoded: Encoded, warped: Any, here: Any) -> Detailed:
        """As `finish`, in two parts, of a pivot that `details`."""


class Interpolator(Protocol):
    """Makes the picture between two pictures."""

    def interpolate(self, before: Image, after: Image, fraction: float) -> Image:
        """The picture at `fraction` in [0, 1] of the way; both inputs share one size."""


class SuperResolver(Protocol):
    """Enlarges a picture. Successive calls are successive pictures of one video."""

    def upscale(self, image: Image, side: int, guide: Guide | None = None) -> Image:
        """The square picture at `side` pixels."""


@dataclass(frozen=True, slots=True)
class Guide:
    """What a super-resolver may know besides the picture."""

    reference: Image | None = None
    """The same view from a sharper source: `Detailed.reference`."""
    keypoints: Keypoints | None = None
    """Where the face is, (10, 2): eyes and mouth go first where there is no time for everything."""


class Enhancer(Protocol):
    """Repairs what the stages before it did to a face."""

    def enhance(self, image: Image) -> Image:
        """A picture of the same size."""
