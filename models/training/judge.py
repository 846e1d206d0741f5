"""Looks at the moving average on fixed pairs of the val clips: figures for the log and a sheet of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avcall.common.keypoints import Image, Keypoints, to_pixels
from avcall.common.scene import SceneMotion
from avcall.models.face_mesh import FaceMesh
from avcall.models.lpips import Lpips
from avcall.models.precision import mixed
from avcall.models.reenactment.generator import Carried, Driven, ReenactmentNetwork
from avcall.models.training import scenes
from avcall.models.training.carrying import Carrier, Pivot
from avcall.models.training.pairs import Pack, TrainingClip

FRAMES_PER_CLIP = 3
MAX_CLIPS = 16
SHEET_ROWS = 8
_LIPS = (13, 14, 61, 291, 0, 17, 78, 308)


@dataclass(frozen=True, slots=True)
class _Case:
    protocol: str
    pivot: Pivot
    driving: Image
    keypoints: Keypoints
    scene: SceneMotion


class Judge:
    """Two protocols, as in `avcall evaluate`: the first frame as only pivot, and a coded pivot of the last second."""

    def __init__(self, data: Path, device: torch.device, pivots: Path | None = None) -> None:
        pack = Pack(data, "val", pivots)
        self._device, self._side = device, pack.resolution
        self._lpips = Lpips("alex").to(device)
        self._mesh = FaceMesh(video=False)
        self._carrier = Carrier()
        self._cases = [case for clip in pack.clips[:MAX_CLIPS] for case in _cases(clip, round(pack.fps))]

    @torch.inference_mode()
    def judge(self, network: ReenactmentNetwork, sheet: Path) -> dict[str, Any]:
        """Mean LPIPS of picture, warp and repeated pivot, and lip landmark distance in pixels, by protocol."""
        found: dict[str, dict[str, list[float]]] = {}
        rows: dict[str, list[Image]] = {}
        for case in self._cases:
            scores = found.setdefault(case.protocol, {})
            pivot, truth = self._tensor(case.pivot.image), self._tensor(case.driving)
            driven = self._driven(network, case, pivot)
            picture, warped = _image(driven.picture), _image(driven.warped)
            target = self._lpips.features(truth)
            for name, shown in (("lpips", driven.picture), ("warp_lpips", driven.warped), ("repeat_lpips", pivot)):
                scores.setdefault(name, []).append(
                    float(self._lpips.compare(self._lpips.features(shown.clamp(0, 1)), target))
                )
            distance = self._lip_distance(picture, case.driving)
            if distance is not None:
                scores.setdefault("lip_px", []).append(distance)
            repaired = _image(driven.repaired.expand(-1, 3, -1, -1))
            rows.setdefault(case.protocol, []).append(
                np.concatenate([case.pivot.image, case.driving, warped, picture, repaired], 1)
            )
        chosen = [
            image for shown in rows.values() for image in shown[1 :: max(1, len(shown) * len(rows) // SHEET_ROWS)]
        ]
        if not cv2.imwrite(str(sheet), np.concatenate(chosen)[..., ::-1]):
            raise OSError(f"cannot write {sheet}")
        return {
            protocol: {name: round(float(np.mean(values)), 4) for name, values in scores.items()}
            for protocol, scores in found.items()
        }

    def _driven(self, network: ReenactmentNetwork, case: _Case, pivot: Tensor) -> Driven:
        picture, displacement = self._carrier.carry(case.pivot, case.keypoints, scene=case.scene, frame=case.driving)
        points = [torch.from_numpy(p)[None].to(self._device) for p in (case.pivot.keypoints, case.keypoints)]
        maps = [torch.from_numpy(m)[None].to(self._device) for m in (picture, displacement)]
        with mixed(self._device):
            return network.drive(network.encode(pivot, points[0]), Carried(*maps), points[1])

    def _tensor(self, image: Image) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(image)).to(self._device).permute(2, 0, 1)[None].float() / 255.0

    def _lip_distance(self, shown: Image, truth: Image) -> float | None:
        found = [self._mesh.find(image) for image in (shown, truth)]
        if found[0] is None or found[1] is None:
            return None
        side = truth.shape[0]
        a, b = (to_pixels(points[list(_LIPS), :2], side, side) for points in (found[0], found[1]))
        return float(np.linalg.norm(a - b, axis=-1).mean() * 256 / side)


def _cases(clip: TrainingClip, second: int) -> list[_Case]:
    total = len(clip.frames)
    cases = []
    for number in np.linspace(total * 0.2, total - 1, FRAMES_PER_CLIP).astype(int):
        cases.append(_case("first_frame", clip, clip.frames[0], 0, int(number)))
        ages = number - clip.coded_index
        recent = np.flatnonzero((ages > second // 4) & (ages <= second))
        if len(recent):
            at = int(recent[0])
            cases.append(_case("pivot_1s", clip, clip.coded[at], int(clip.coded_index[at]), int(number)))
    return cases


def _case(protocol: str, clip: TrainingClip, picture: NDArray[np.uint8], start: int, end: int) -> _Case:
    segmentation = np.array(clip.segmentation[start])
    pivot = Pivot(np.array(picture), clip.keypoints[start], np.array(clip.landmarks[start]), segmentation)
    driving = np.array(clip.frames[end])
    return _Case(protocol, pivot, driving, clip.keypoints[end], scenes.motion(clip.scene, start, end))


def _image(picture: Tensor) -> NDArray[np.uint8]:
    scaled = (picture[0].clamp(0, 1) * 255.0 + 0.5).permute(1, 2, 0)
    return np.asarray(scaled.to(torch.uint8).cpu().numpy(), dtype=np.uint8)
