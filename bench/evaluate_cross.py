"""One person's motion on another person's picture (cross-identity reenactment): there is no true picture to compare
with, so identity is compared with the pivot's owner, and motion with the driver.

The keypoints move relative to their own first frame, scaled by the ratio of the two faces: a call never needs this, but
the literature reports it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avcall.bench.evaluate_clip import Networks, find_meshes
from avcall.bench.evaluate_config import DEEP_EVERY
from avcall.bench.evaluate_show import Pivots, find_keypoints, show_driven
from avcall.bench.evaluate_systems import Pair
from avcall.common.keypoints import EYE_LEFT, EYE_RIGHT, Image, Keypoints, Landmarks
from avcall.models import metrics, metrics_face, metrics_pose
from avcall.models.identity import cosine_similarity, embedding_distance

CROSS_IDENTITY = "cross_identity"


@dataclass(frozen=True, slots=True)
class Source:
    """The picture that is driven, and its face."""

    image: Image
    landmarks: Landmarks


@dataclass(frozen=True, slots=True)
class Driver:
    """The video that drives, and its faces; at least the first frame has one."""

    frames: list[Image]
    meshes: list[Landmarks | None]
    fps: int


def evaluate_cross(
    pair: Pair | None, source: Source, driver: Driver, networks: Networks, stride: int
) -> dict[str, float]:
    """The measures of one system on one source and driver; without a pair, of the picture repeated."""
    count = len(driver.frames)
    if pair is None:
        shown = [source.image] * count
    else:
        detector, reenactor = pair
        moving, _ = find_keypoints(detector, driver.frames, driver.meshes)
        own = detector.detect(source.image, source.landmarks)
        shown = show_driven(reenactor, Pivots([0], [source.image], 0), transfer(own, moving)).frames
    driving = metrics_face.mesh_array(driver.meshes)
    found = metrics_face.mesh_array(find_meshes(shown))
    mesh = metrics_face.hold_last(found)
    turns = (metrics_pose.head_rotations(each) for each in (driving, mesh))
    blinks = (metrics_face.blink_times_s(metrics_face.eye_aspect_ratio(each), driver.fps) for each in (driving, mesh))
    pose_deg = metrics_pose.rotation_difference_deg(*turns)
    wanted, seen = blinks
    mouths = metrics_face.mouth_opening(driving), metrics_face.mouth_opening(mesh)
    return {
        "pose_deg": float(np.nanmean(pose_deg)) if not np.isnan(pose_deg).all() else np.nan,
        "pose_deg_worst_s": metrics.worst_second(pose_deg, driver.fps),
        "mouth_correlation": metrics_face.mouth_correlation(*mouths),
        "mouth_lag_ms": metrics_face.mouth_lag_ms(*mouths, driver.fps),
        "blinks": len(wanted),
        "blinks_shown": len(seen),
        "blink_recall": metrics_face.matched_share(wanted, seen),
        "blink_precision": metrics_face.matched_share(seen, wanted),
        "face_found": float((~np.isnan(found[:, 0, 0])).mean()),
        "flicker": metrics.flicker(shown),
        **_identity(source, shown, found, networks, DEEP_EVERY * stride),
    }


def transfer(source: Keypoints, driving: list[Keypoints]) -> list[Keypoints]:
    """The source's keypoints moved as the driving ones move since their first frame, in the source's size of face."""
    scale = _eye_distance(source) / max(_eye_distance(driving[0]), 1e-3)
    return [np.asarray(source + (keypoints - driving[0]) * scale, dtype=np.float32) for keypoints in driving]


def _eye_distance(keypoints: Keypoints) -> float:
    return float(np.linalg.norm(keypoints[EYE_LEFT] - keypoints[EYE_RIGHT]))


def _identity(
    source: Source, shown: list[Image], found: NDArray[np.float32], networks: Networks, every: int
) -> dict[str, float]:
    if networks.identity is None:
        return {}
    own = networks.identity.embed(source.image, source.landmarks)
    looked_at = [index for index in range(every, len(shown), every) if not np.isnan(found[index, 0, 0])]
    embedded = [networks.identity.embed(shown[index], found[index]) for index in looked_at]
    if not embedded:
        return {"aed": np.nan, "csim": np.nan}
    return {
        "aed": float(np.mean([embedding_distance(own, each) for each in embedded])),
        "csim": float(np.mean([cosine_similarity(own, each) for each in embedded])),
    }
