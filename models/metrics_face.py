"""What the face does in the shown video against the original, from the 468 mesh points of both (`face_mesh`).

A video's mesh is float32 (T, 468, 3) in the keypoint convention, NaN at frames without a face. The mesh is found in the
shown pictures themselves, so its own jitter (a few tenths of a pixel) is in every distance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from avcall.common.keypoints import Landmarks
from avcall.models.metrics import FPS, Series

LIPS = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185),  # outer rim
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191),  # inner rim
)
EYES = (
    *(33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    *(263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
_UPPER_INNER_LIP, _LOWER_INNER_LIP = 13, 14
_OUTER_EYE_CORNERS = (33, 263)
_EYE_OUTLINES = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))
"""Corner, two points of the upper lid, corner, two of the lower lid: p1 to p6 of the eye-aspect ratio."""

MOVING_MOUTH = 0.02
"""Mouths whose opening has a smaller standard deviation are taken as closed: what is left is the mesh's jitter."""
MAX_LAG_S = 0.4
_BLINK_DEPTH, _BLINK_EDGE = 0.8, 0.85
"""A blink goes below the first share of the open eye's ratio, and lasts while below the second. The mesh shows closed
lids as half open, so the share is high."""
_OPEN_EYE_REACH_S = 2.0
_BLINK_MAX_S = 0.6
_BLINK_MATCH_S = 0.08


def mesh_array(found: Sequence[Landmarks | None]) -> NDArray[np.float32]:
    """Stacks a video's meshes; NaN where there was no face."""
    gap = np.full((468, 3), np.nan, dtype=np.float32)
    return np.stack([gap if landmarks is None else landmarks for landmarks in found])


def hold_last(mesh: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fills frames without a face with the mesh last found (the first one found, before that).

    Meant for the shown video: a face that melts beyond recognition counts as one that stopped moving.
    """
    present = np.flatnonzero(~np.isnan(mesh[:, 0, 0]))
    if not len(present):
        return mesh
    last = np.maximum(np.searchsorted(present, np.arange(len(mesh)), side="right") - 1, 0)
    return np.asarray(mesh[present[last]])


def landmark_distance_px(
    original: NDArray[np.float32], shown: NDArray[np.float32], points: Sequence[int] = (), side: int = 256
) -> Series:
    """LMD of each frame: mean over `points` (all 468 if none are named) of the distance in the plane, in pixels of a
    picture `side` pixels wide."""
    chosen = list(points) or slice(None)
    offset = original[:, chosen, :2].astype(np.float64) - shown[:, chosen, :2]
    return np.asarray(np.linalg.norm(offset, axis=-1).mean(-1) * (side - 1) / 2)


def mouth_opening(mesh: NDArray[np.float32]) -> Series:
    """Distance of the inner lips' middles over that of the outer eye corners (in space, so that turning the head does
    not open the mouth); 0 is closed, 0.3 wide open."""
    gap = np.linalg.norm(mesh[:, _UPPER_INNER_LIP, :2] - mesh[:, _LOWER_INNER_LIP, :2], axis=-1)
    left, right = _OUTER_EYE_CORNERS
    return np.asarray(gap / np.linalg.norm(mesh[:, left] - mesh[:, right], axis=-1), dtype=np.float64)


def mouth_correlation(original: Series, shown: Series) -> float:
    """Pearson's correlation of the two videos' `mouth_opening` at lag 0; 0 where the shown mouth never moves, NaN where
    the original does not speak (standard deviation below MOVING_MOUTH)."""
    return _correlation(original, shown)


def mouth_lag_ms(original: Series, shown: Series, fps: float = FPS) -> float:
    """The shift at which the mouth openings correlate best, positive when the shown mouth is late; looked for within
    MAX_LAG_S. NaN where the best correlation stays below 0.3: there is nothing to be late."""
    reach = min(round(MAX_LAG_S * fps), len(original) - 2)
    best, lag = 0.3, math.nan
    for shift in sorted(range(-reach, reach + 1), key=abs):  # of equals, the smallest
        late, early = shown[max(shift, 0) :], original[max(-shift, 0) :]
        length = min(len(late), len(early))
        value = _correlation(early[:length], late[:length])
        if value > best:
            best, lag = value, shift * 1000.0 / fps
    return lag


def eye_aspect_ratio(mesh: NDArray[np.float32]) -> Series:
    """(|p2 - p6| + |p3 - p5|) / (2 |p1 - p4|), the mean of both eyes (Soukupova and Cech 2016, equation 1)."""
    ratios = []
    for outline in _EYE_OUTLINES:
        p1, p2, p3, p4, p5, p6 = (mesh[:, index, :2].astype(np.float64) for index in outline)
        opening = np.linalg.norm(p2 - p6, axis=-1) + np.linalg.norm(p3 - p5, axis=-1)
        ratios.append(opening / (2 * np.linalg.norm(p1 - p4, axis=-1)))
    return np.asarray(np.mean(ratios, axis=0))


def blink_times_s(ratio: Series, fps: float = FPS) -> list[float]:
    """Middles of the blinks in an `eye_aspect_ratio`, in seconds.

    A blink: the ratio falls below 0.8 of the open eye's (the upper quartile of the four seconds around) and is back
    above 0.85 within 0.6 s. Longer closures are looks downwards, or sleep; single frames are the mesh's jitter.
    """
    reach = round(_OPEN_EYE_REACH_S * fps)
    padded = np.pad(ratio, reach, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    gaps = np.isnan(ratio)
    open_eye = np.full(len(ratio), np.nan)
    open_eye[~gaps] = np.nanpercentile(windows[~gaps], 75, axis=1)
    closed = ratio < _BLINK_EDGE * open_eye
    edges = np.flatnonzero(np.diff(np.concatenate([[False], closed, [False]]).astype(np.int8)))
    times = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        inside = start > 0 and end < len(ratio) and not gaps[start - 1] and not gaps[end]
        deep = bool((ratio[start:end] < _BLINK_DEPTH * open_eye[start:end]).any())
        if inside and deep and 2 <= end - start <= _BLINK_MAX_S * fps:
            times.append((start + end - 1) / 2 / fps)
    return times


def matched_share(wanted_s: Sequence[float], found_s: Sequence[float], within_s: float = _BLINK_MATCH_S) -> float:
    """Share of the wanted times that have a found one within `within_s`; NaN where none is wanted.

    Of the original's blinks in the shown video's it is blink recall; the other way round, precision.
    """
    if not wanted_s:
        return math.nan
    return sum(any(abs(want - find) <= within_s + 1e-9 for find in found_s) for want in wanted_s) / len(wanted_s)


def _correlation(original: Series, shown: Series) -> float:
    there = ~(np.isnan(original) | np.isnan(shown))
    x, y = original[there], shown[there]
    if len(x) < 3 or x.std() < MOVING_MOUTH:
        return math.nan
    return float(np.corrcoef(x, y)[0, 1]) if y.std() > 1e-6 else 0.0
