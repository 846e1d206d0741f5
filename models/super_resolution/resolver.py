"""The network behind the `SuperResolver` protocol: numpy in, numpy out, patch by patch.

A picture is doubled until it is as large as it is to be shown. Of each doubling, only patches are made anew whose
surroundings changed, and no more of them in one picture than `limit`, mouth and eyes first; a patch whose turn has not
come is made without the network (`twin`) and fades into its neighbours. Where most patches are due, the whole picture
is one patch.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avcall.common.errors import CheckpointError
from avcall.common.keypoints import Image
from avcall.models.checkpoint import Weights, fill, rebuild_config
from avcall.models.interfaces import Guide
from avcall.models.precision import native_bf16
from avcall.models.super_resolution.network import CELL, SuperResolutionConfig, SuperResolutionNetwork
from avcall.models.super_resolution.patches import Changes, choose, urgency
from avcall.models.super_resolution.twin import blend

GUIDED, ALONE = "lite-super-resolution", "lite-super-resolution-alone"
"""Names of the shipped weights."""
FEW = 12
"""Patches a picture that show a mouth and two eyes, and mostly some more."""
PATCH = 16
"""Side of a patch in cells of 4 pixels of the doubled picture."""
WHOLE_SHARE = 0.35
"""Share of the patches due from which the whole picture takes less time than they do with their surroundings."""
_FADE = 4
"""Pixels over which a patch fades into one that is not made yet."""
_SMALLEST, _LARGEST = 32, 4096


class PatchSuperResolver:
    """Enlarges successive pictures of one video. Computes in bf16 where the processor multiplies it natively, else in
    float32. Not safe for use by two threads at once."""

    def __init__(
        self, guided: Weights | None, alone: Weights, device: str = "cpu", *, limit: int | None = None
    ) -> None:
        """`guided` are weights of a network with a reference, which is used where there is a reference, `alone` of
        one without. `limit` is the most patches a picture; None means all.

        Raises:
            CheckpointError: they are not weights of such networks.
        """
        self._device = torch.device(device)
        self._bf16 = native_bf16(device)
        self._alone = self._load(alone, guided=False)
        self._guided = None if guided is None else self._load(guided, guided=True)
        self._limit = limit
        self._doublings: dict[int, _Doubling] = {}

    def upscale(self, image: Image, side: int, guide: Guide | None = None) -> Image:
        """The square picture at `side` pixels; `guide.reference` counts where it is at least as large as a doubling.

        Raises:
            ValueError: no square RGB picture of 32 to 4096 pixels, or such a side.
            FloatingPointError: the network gave numbers that are none.
        """
        _check(image, side)
        guide = guide or Guide()
        while len(image) < side:
            target = 2 * len(image)
            reference = None if self._guided is None else _at(guide.reference, target)
            network = self._alone if reference is None else self._guided
            assert network is not None
            doubling = self._doublings.get(target)
            if doubling is None or doubling.network is not network:
                doubling = self._doublings[target] = _Doubling(network, target, self._dtype, self._device)
            image = doubling.make(image, reference, guide, self._limit)
        if len(image) > side:
            return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        return image

    @property
    def _dtype(self) -> torch.dtype:
        return torch.bfloat16 if self._bf16 else torch.float32

    def _load(self, weights: Weights, *, guided: bool) -> SuperResolutionNetwork:
        if weights.kind != "super_resolver":
            raise CheckpointError(f"weights {weights.name!r} hold a {weights.kind}, not a super_resolver")
        config = rebuild_config(SuperResolutionConfig, weights)
        if config.guided != guided:
            raise CheckpointError(f"weights {weights.name!r} want {'a' if config.guided else 'no'} reference")
        network = SuperResolutionNetwork(config)
        fill(network, weights)
        _colours_last(network)
        network.requires_grad_(False).eval().to(self._device, self._dtype)
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return network


class _Doubling:
    """One size of picture by one network, with what was made of the last picture."""

    def __init__(self, network: SuperResolutionNetwork, side: int, dtype: torch.dtype, device: torch.device) -> None:
        """Doubles to `side`."""
        self.network = network
        self._side, self._dtype, self._device = side, dtype, device
        self._padded = -(-side // CELL) * CELL
        self._cells = self._padded // CELL
        self._changes = Changes(self._cells, PATCH, network.config.halo)
        self._made = torch.zeros(self._cells, self._cells, 3 * CELL * CELL, dtype=torch.uint8)
        """What the network made, by cells, each patch when it was its turn."""

    def make(self, image: Image, reference: Image | None, guide: Guide, limit: int | None) -> Image:
        """`image` doubled."""
        image, reference = _pad(image, self._padded // 2), None if reference is None else _pad(reference, self._padded)
        changes = self._changes
        changes.look("image", image)
        if reference is not None:
            changes.look("reference", reference)
        patches = np.argwhere(changes.due)
        if not len(patches):
            return self._picture()
        enlarged = np.asarray(
            cv2.resize(image, (self._padded, self._padded), interpolation=cv2.INTER_CUBIC), dtype=np.uint8
        )
        if limit is not None and limit < len(patches):
            weight = urgency(len(changes.due), 2.0 * PATCH / self._cells, guide.keypoints)
            patches = choose(changes.due, changes.waited, weight, limit)
        try:
            self._refresh(image, enlarged, reference, patches)
        except FloatingPointError:
            self._changes = Changes(self._cells, PATCH, self.network.config.halo)
            raise
        changes.made(patches)
        if not changes.due.any():
            return self._picture()
        twin = enlarged if reference is None else blend(image, enlarged, reference)
        return np.ascontiguousarray(_mixed(self._picture(), twin[: self._side, : self._side], changes.due))

    def _picture(self) -> Image:
        lines = self._made.view(self._cells, self._cells, CELL, 3 * CELL).view(torch.int32).permute(0, 2, 1, 3)
        picture = lines.reshape(self._padded, -1).view(torch.uint8).view(self._padded, self._padded, 3).numpy()
        return np.ascontiguousarray(picture[: self._side, : self._side], dtype=np.uint8)

    @torch.inference_mode()
    def _refresh(self, image: Image, enlarged: Image, reference: Image | None, patches: NDArray[np.intp]) -> None:
        """Makes the patches (N, 2) anew."""
        small, before = self._to_cells(image, CELL // 2), self._to_cells(enlarged, CELL)
        beside = None if reference is None else self._to_cells(reference, CELL)
        told = small if beside is None else torch.cat([beside, small], -1)
        halo = self.network.config.halo
        window = PATCH + 2 * halo
        if len(patches) >= WHOLE_SHARE * self._changes.due.size or window >= self._cells:
            made = self._correct(told[None], before[None], None if beside is None else beside[None], self._cells)
            self._made.copy_(made[0])
            return
        # windows are moved into the picture, whose edge must be theirs: what a convolution sees there is part of it
        starts = (patches * PATCH).clip(0, self._cells - PATCH)
        corners = (starts - halo).clip(0, self._cells - window).tolist()
        inner = (starts - corners).tolist()
        inputs, before = _cut(told, corners, window), _cut(before, starts.tolist(), PATCH)
        beside = None if beside is None else _cut(beside, starts.tolist(), PATCH)
        made = self._correct(inputs, before, beside, PATCH, inner).cpu()
        for (row, column), patch in zip(starts.tolist(), made, strict=True):
            self._made[row : row + PATCH, column : column + PATCH] = patch

    def _correct(
        self, told: Tensor, before: Tensor, beside: Tensor | None, side: int, inner: list[list[int]] | None = None
    ) -> Tensor:
        """Patches uint8 (N, side, side, 48) from the cells around them, of which `inner` are the first row and column
        that count, from their enlargement and from the reference, all uint8."""
        inputs = told.float().div_(255.0).sub_(0.5).to(self._dtype)
        out = self.network.cells(inputs.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        if inner is not None:
            out = torch.stack([one[y : y + side, x : x + side] for one, (y, x) in zip(out, inner, strict=True)])
        pixels = before.shape[-1]
        made = out[..., :pixels].float().mul_(255.0).add_(before)
        if beside is not None:
            mask = out[..., pixels:].float().sigmoid_()[..., None]
            gap = beside.float().sub_(before)
            made.add_(gap.view(*mask.shape[:-1], 3).mul_(mask).view_as(gap))
        if not bool(torch.isfinite(made.sum())):
            raise FloatingPointError("super-resolution gave numbers that are none")
        return made.round_().clamp_(0, 255).to(torch.uint8)

    def _to_cells(self, image: Image, cell: int) -> Tensor:
        """(H, W, 3) to (H / cell, W / cell, 3 cell^2), row by row, colours last."""
        side = len(image) // cell
        lines = image.reshape(side, cell, side, 3 * cell).transpose(0, 2, 1, 3)
        return torch.from_numpy(np.ascontiguousarray(lines).reshape(side, side, -1)).to(self._device)


def _colours_last(network: SuperResolutionNetwork) -> None:
    """Has the network take and give a cell's colours last, as pictures have them: moving them would cost time."""

    def order(cell: int, first: int) -> Tensor:
        return torch.arange(first, first + 3 * cell * cell).view(3, cell, cell).permute(1, 2, 0).reshape(-1)

    large = order(CELL, 0)
    inputs = torch.cat([large, order(CELL // 2, len(large))]) if network.config.guided else order(CELL // 2, 0)
    network.first.weight.data = network.first.weight.data[:, inputs]
    assert network.last.bias is not None
    for parameter in (network.last.weight, network.last.bias):
        parameter.data[: len(large)] = parameter.data[large]


def _cut(cells: Tensor, corners: list[list[int]], side: int) -> Tensor:
    return torch.stack([cells[y : y + side, x : x + side] for y, x in corners])


def _mixed(made: Image, twin: Image, due: NDArray[np.bool_]) -> Image:
    """`made` where its patches are not due, fading within them into `twin` where they are."""
    share = np.repeat(np.repeat(np.where(due, 0, 255).astype(np.uint8), PATCH * CELL, 0), PATCH * CELL, 1)
    share = np.ascontiguousarray(share[: len(made), : len(made)])
    size = 2 * _FADE + 1
    weight = cv2.blur(cv2.erode(share, np.ones((size, size), np.uint8)), (size, size)).astype(np.float32) / 255.0
    return np.asarray(cv2.blendLinear(made, twin, weight, 1.0 - weight), dtype=np.uint8)


def _pad(image: Image, side: int) -> Image:
    """The picture with its last row and column repeated up to `side`."""
    missing = side - len(image)
    return np.ascontiguousarray(np.pad(image, ((0, missing), (0, missing), (0, 0)), mode="edge") if missing else image)


def _at(reference: Image | None, side: int) -> Image | None:
    """The reference at `side`; None where it is smaller."""
    if reference is None or len(reference) < side:
        return None
    _check(reference, side)
    if len(reference) == side:
        return reference
    return np.asarray(cv2.resize(reference, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _check(image: Image, side: int) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.shape[0] != image.shape[1]:
        raise ValueError(
            f"super-resolution wants square RGB pictures, uint8 (S, S, 3), not {image.dtype} {image.shape}"
        )
    if not _SMALLEST <= len(image) <= _LARGEST or not 1 <= side <= _LARGEST:
        raise ValueError(f"super-resolution of {len(image)} to {side} pixels: {_SMALLEST} to {_LARGEST} can be done")
