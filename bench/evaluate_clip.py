"""Judges one shown clip against its original. What depends on the original alone is computed once and kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avcall.bench.evaluate_config import DEEP_EVERY
from avcall.bench.tensors import tensor
from avcall.common.errors import CheckpointError
from avcall.common.keypoints import Image, Landmarks
from avcall.models import metrics, metrics_face
from avcall.models.dists import Dists
from avcall.models.face_mesh import FaceMesh
from avcall.models.identity import IdentityNetwork, cosine_similarity, embedding_distance
from avcall.models.lpips import Lpips
from avcall.models.metrics import Series

_NO_PACKAGE = {
    "fid": "needs Inception weights, which no package that installs here carries",
    "sync_confidence": "needs SyncNet weights, which no package carries; see mouth_correlation and mouth_lag_ms",
}


class Networks:
    """The measuring networks, loaded once; `not_measured` names what is missing, and why."""

    def __init__(self, dists: bool, vgg: bool, identity: bool) -> None:
        """
        Raises:
            CheckpointError: LPIPS-alex, without which there is no evaluation, is not at hand.
        """
        self.not_measured = dict(_NO_PACKAGE)
        self.alex = Lpips("alex")
        self.vgg = self._optional(vgg, lambda: Lpips("vgg"), "lpips_vgg")
        self.dists = self._optional(dists, Dists, "dists")
        self.identity = self._optional(identity, IdentityNetwork, "aed", "csim")

    def _optional(self, wanted: bool, make: Callable[[], Any], *names: str) -> Any:
        reason = "not asked for"
        if wanted:
            try:
                return make()
            except CheckpointError as error:
                reason = str(error)
        self.not_measured.update(dict.fromkeys(names, reason))
        return None


class FeaturesOfLast:
    """A network's features of a picture, not computed again while the same picture is shown."""

    def __init__(self, network: Lpips | Dists) -> None:
        self._network = network
        self._image: Image | None = None
        self._features: list[Tensor] = []

    def __call__(self, image: Image) -> list[Tensor]:
        if image is not self._image:
            self._image, self._features = image, self._network.features(tensor(image))
        return self._features


class Original:
    """One original clip and everything about it that every system is compared with."""

    def __init__(
        self,
        frames: list[Image],
        meshes: list[Landmarks | None],
        networks: Networks,
        stride: int,
        fps: int,
        deep_every: int = DEEP_EVERY,
    ) -> None:
        self.frames, self.meshes, self.fps = frames, meshes, fps
        self._networks, self._stride = networks, stride
        self._alex = FeaturesOfLast(networks.alex)
        deep = {"dists": networks.dists, "lpips_vgg": networks.vgg}
        self._deep_networks: dict[str, Lpips | Dists] = {name: net for name, net in deep.items() if net is not None}
        self._mesh = metrics_face.mesh_array(meshes)
        self._mouth = metrics_face.mouth_opening(self._mesh)
        self._blinks = metrics_face.blink_times_s(metrics_face.eye_aspect_ratio(self._mesh), fps)
        self._change = metrics.visible_change(frames)
        self._flicker = metrics.flicker(frames)
        self._samples = range(stride, len(frames), stride)
        self._deep_samples = range(deep_every * stride, len(frames), deep_every * stride)
        with torch.inference_mode():
            self._features = [self._alex(frames[index]) for index in self._samples]
            self._steps = self._lpips_steps(frames, self._features)
            self._deep_features = {
                name: [network.features(tensor(frames[index])) for index in self._deep_samples]
                for name, network in self._deep_networks.items()
            }
        self._flows = [metrics.optical_flow(frames[index - 1], frames[index]) for index in self._samples]
        self._faces = self._embed(frames, self._mesh)

    def judge(self, shown: list[Image]) -> dict[str, float]:
        """All measures of one shown video, frame by frame in step with the original; docs/evaluation.md defines them.
        NaN where there is nothing to measure."""
        if len(shown) != len(self.frames):
            raise ValueError(f"{len(shown)} frames shown for {len(self.frames)}")
        mesh = metrics_face.mesh_array(find_meshes(shown))
        with torch.inference_mode():
            likeness = self._likeness(shown)
            deep = self._deep(shown)
        return {**likeness, **deep, **self._face(mesh), **self._motion(shown), **self._identity(shown, mesh)}

    def _likeness(self, shown: list[Image]) -> dict[str, float]:
        per_second = self.fps / self._stride
        features = [self._alex(shown[index]) for index in self._samples]
        compared = zip(self._features, features, strict=True)
        lpips = np.array([float(self._networks.alex.compare(a, b)) for a, b in compared])
        psnr = np.array([metrics.psnr(self.frames[index], shown[index]) for index in self._samples])
        ssim = np.array([metrics.ssim(self.frames[index], shown[index]) for index in self._samples])
        return {
            "lpips_alex": _mean(lpips),
            "psnr": _mean(psnr),
            "ssim": _mean(ssim),
            "lpips_alex_worst_s": metrics.worst_second(lpips, per_second),
            "psnr_worst_s": metrics.worst_second(psnr, per_second, higher_is_worse=False),
            "ssim_worst_s": metrics.worst_second(ssim, per_second, higher_is_worse=False),
            "tlp": metrics.step_difference(self._steps, self._lpips_steps(shown, features)),
        }

    def _deep(self, shown: list[Image]) -> dict[str, float]:
        values = {}
        for name, network in self._deep_networks.items():
            features = FeaturesOfLast(network)
            chosen = zip(self._deep_features[name], self._deep_samples, strict=True)
            values[name] = _mean(np.array([float(network.compare(a, features(shown[index]))) for a, index in chosen]))
        return values

    def _face(self, found: NDArray[np.float32]) -> dict[str, float]:
        there = ~np.isnan(self._mesh[:, 0, 0])
        mesh = metrics_face.hold_last(found)
        distances = {
            "lmd_px": metrics_face.landmark_distance_px(self._mesh, mesh),
            "lip_lmd_px": metrics_face.landmark_distance_px(self._mesh, mesh, metrics_face.LIPS),
            "eye_lmd_px": metrics_face.landmark_distance_px(self._mesh, mesh, metrics_face.EYES),
        }
        mouth = metrics_face.mouth_opening(mesh)
        blinks = metrics_face.blink_times_s(metrics_face.eye_aspect_ratio(mesh), self.fps)
        return {
            **{name: _mean(series) for name, series in distances.items()},
            **{f"{name}_worst_s": metrics.worst_second(series, self.fps) for name, series in distances.items()},
            "mouth_correlation": metrics_face.mouth_correlation(self._mouth, mouth),
            "mouth_lag_ms": metrics_face.mouth_lag_ms(self._mouth, mouth, self.fps),
            "blinks": len(self._blinks),
            "blinks_shown": len(blinks),
            "blink_recall": metrics_face.matched_share(self._blinks, blinks),
            "blink_precision": metrics_face.matched_share(blinks, self._blinks),
            "face_found": float((~np.isnan(found[there, 0, 0])).mean()),
        }

    def _motion(self, shown: list[Image]) -> dict[str, float]:
        flows = [metrics.optical_flow(shown[index - 1], shown[index]) for index in self._samples]
        differences = [metrics.flow_difference_px(a, b) for a, b in zip(self._flows, flows, strict=True)]
        flicker = metrics.flicker(shown)
        return {
            "tof_px": _mean(np.array(differences)),
            "flicker": flicker,
            "flicker_ratio": flicker / self._flicker if self._flicker else np.nan,
            "freeze_s": metrics.longest_freeze_s(self._change, metrics.visible_change(shown), self.fps),
        }

    def _identity(self, shown: list[Image], mesh: NDArray[np.float32]) -> dict[str, float]:
        if self._networks.identity is None:
            return {}
        embedded = zip(self._faces, self._embed(shown, mesh), strict=True)
        both = [(a, b) for a, b in embedded if a is not None and b is not None]
        return {
            "aed": _mean(np.array([embedding_distance(a, b) for a, b in both])),
            "csim": _mean(np.array([cosine_similarity(a, b) for a, b in both])),
        }

    def _embed(self, frames: list[Image], mesh: NDArray[np.float32]) -> list[NDArray[np.float64] | None]:
        network = self._networks.identity
        if network is None:
            return []
        there = [not np.isnan(mesh[index, 0, 0]) for index in self._deep_samples]
        chosen = zip(self._deep_samples, there, strict=True)
        return [network.embed(frames[index], mesh[index]) if found else None for index, found in chosen]

    def _lpips_steps(self, frames: list[Image], features: list[list[Tensor]]) -> Series:
        """LPIPS of each sampled frame to the frame before it."""
        before = (self._alex(frames[index - 1]) for index in self._samples)
        return np.array([float(self._networks.alex.compare(a, b)) for a, b in zip(features, before, strict=True)])


def mean_over_clips(clips: list[dict[str, float | None]]) -> dict[str, float | None]:
    """The measures of several clips as one: means over the clips that have them; counts of blinks are sums, the shares
    of blinks are of all clips' blinks together, and the lag's size is averaged, not its sign."""
    names = dict.fromkeys(name for clip in clips for name in clip)
    weights = {"blink_recall": "blinks", "blink_precision": "blinks_shown"}
    result: dict[str, float | None] = {}
    for name in names:
        have = [clip for clip in clips if clip.get(name) is not None]
        values = np.array([clip[name] for clip in have], dtype=np.float64)
        if name in weights.values():
            result[name] = float(values.sum())
        elif not len(values):
            result[name] = None
        elif name in weights:
            result[name] = float(np.average(values, weights=[float(clip[weights[name]] or 0) for clip in have]))
        else:
            result[name] = float((np.abs(values) if name == "mouth_lag_ms" else values).mean())
    return result


def find_meshes(frames: list[Image]) -> list[Landmarks | None]:
    """The face mesh of every frame of a video, followed from frame to frame as in a call."""
    mesh = FaceMesh(video=True)
    found = [mesh.find(image) for image in frames]
    mesh.close()
    return found


def _mean(series: Series) -> float:
    there = series[~np.isnan(series)]
    return float(there.mean()) if len(there) else np.nan
