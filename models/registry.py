"""Names of models to networks ready to run: the only place where a name becomes a class."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from avcall.common.errors import ConfigError, DeviceError
from avcall.models.checkpoint import Weights, load_weights, read_weights, table
from avcall.models.interfaces import Enhancer, Interpolator, KeypointDetector, ModelId, Reenactor, SuperResolver
from avcall.models.twins import IdentityEnhancer

if TYPE_CHECKING:
    from avcall.models.reenactment.painter import NetworkPainter, Painter

CLASSICAL = "classical"
SUFFIX = ".safetensors"
FOMM_SUFFIXES = (".pth.tar", ".pth")
ENHANCER = "lite-enhancer"
"""Weights of face enhancement, picture by picture."""
PIVOT_ENHANCER = "lite-pivot-enhancer"
"""Weights of the enhancement of pivots."""
DETECTOR_SUFFIX = "-detector"
"""Weights of a detector that belongs to the reenactor of the name before it."""


def names() -> tuple[str, ...]:
    """All models that `--model` takes; a path to a .safetensors file is taken too."""
    return (CLASSICAL, *(name for name, line in table().items() if line["kind"] == "reenactor"))


def device_from_flag(flag: str) -> str:
    """ "cpu" or "cuda" from "auto", "cpu" or "cuda".

    Raises:
        DeviceError: cuda is asked for and absent.
    """
    if flag == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if flag == "cuda" and not torch.cuda.is_available():
        raise DeviceError("--device cuda: torch finds no CUDA GPU; use --device cpu or auto")
    if flag not in ("cpu", "cuda"):
        raise ConfigError(f"--device {flag}: auto, cpu or cuda")
    return flag


def load_pair(
    name: str, device: str, *, enhance_pivots: bool = True, apart: ExitStack | None = None
) -> tuple[KeypointDetector, Reenactor]:
    """The detector and the reenactor of a model; they belong together and carry the same id.

    Args:
        name: one of `names()`, or the path of a weights file that `avcall train` wrote, or of a FOMM checkpoint.
        device: "cpu" or "cuda", from `device_from_flag`.
        enhance_pivots: whether avcall's own networks repair each pivot first.
        apart: where it is given, a network of avcall's own that computes on a CPU does so in a process that ends with
            it (`avcall.models.reenactment.painter_process`).

    Raises:
        ConfigError: no such model. CheckpointError: its weights are missing or damaged.
    """
    if name == CLASSICAL:
        from avcall.models.classical import ClassicalReenactor, MeshDetector  # needs no weights: loads on its own

        return MeshDetector(), ClassicalReenactor(device)
    if name.endswith(FOMM_SUFFIXES):
        from avcall.models.fomm import load_fomm

        return load_fomm(Path(name), device)
    from avcall.models.reenactment.detector import NetworkDetector
    from avcall.models.reenactment.painter_process import PainterProcess
    from avcall.models.reenactment.reenactor import NetworkReenactor, PointDetector

    weights = _weights(name)
    if weights.kind == "fomm":
        from avcall.models.fomm import fomm_of_weights

        return fomm_of_weights(weights, device)
    found_by = load_weights(name + DETECTOR_SUFFIX) if name + DETECTOR_SUFFIX in table() else None
    repairs = load_weights(PIVOT_ENHANCER) if enhance_pivots and PIVOT_ENHANCER in table() else None
    model = ModelId(weights.name, _joint_hash(found_by, weights, repairs))
    # without a detector the network was trained on the mesh points themselves
    detector = PointDetector(model) if found_by is None else NetworkDetector(found_by, model)
    painter: Painter
    if apart is not None and device == "cpu":
        painter = PainterProcess(partial(_load_painter, name, device, enhance_pivots))
        apart.callback(painter.close)
    else:
        painter = _load_painter(name, device, enhance_pivots)
    return detector, NetworkReenactor(painter, model)


def _weights(name: str) -> Weights:
    if name.endswith(SUFFIX):
        return read_weights(Path(name))
    if name in names():
        return load_weights(name)
    raise ConfigError(
        f"--model {name}: there is {', '.join(names())}, or the path of a {SUFFIX} or a FOMM .pth.tar file"
    )


def _load_painter(name: str, device: str, enhance_pivots: bool) -> NetworkPainter:
    from avcall.models.reenactment.painter import NetworkPainter

    enhancer = load_pivot_enhancer(device) if enhance_pivots else None
    return NetworkPainter.from_weights(_weights(name), device, enhancer)


def _joint_hash(*parts: Weights | None) -> str:
    """First 8 hex digits of what identifies the weights together."""
    hashes = [part.sha256 for part in parts if part is not None]
    return (hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest())[:8]


def load_pivot_enhancer(device: str) -> Enhancer | None:
    """What repairs each pivot before a network animates it; None where its weights are not shipped.

    Raises:
        CheckpointError: its weights are damaged.
    """
    from avcall.models.enhancement.enhancer import PIVOT_SIDE, NetworkEnhancer

    return NetworkEnhancer(load_weights(PIVOT_ENHANCER), device, PIVOT_SIDE) if PIVOT_ENHANCER in table() else None


def load_enhancers(device: str) -> list[tuple[str, Enhancer]]:
    """The versions of face enhancement with their names, cheapest first: none, and the shipped network.

    Raises:
        CheckpointError: its weights are damaged.
    """
    from avcall.models.enhancement.enhancer import NetworkEnhancer

    versions: list[tuple[str, Enhancer]] = [("as drawn", IdentityEnhancer())]
    if ENHANCER in table():
        versions.append(("sharp", NetworkEnhancer(load_weights(ENHANCER), device)))
    return versions


def load_interpolators(device: str) -> list[tuple[str, Interpolator]]:
    """The interpolators of pictures with their names, the preferred one first: the shipped network, then optical flow
    (docs/interpolation.md says why in this order).

    Raises:
        CheckpointError: its weights are damaged.
    """
    from avcall.models.interpolation.flow import FlowInterpolator
    from avcall.models.interpolation.interpolator import LITE, NetworkInterpolator

    versions: list[tuple[str, Interpolator]] = []
    if LITE in table():
        versions.append(("network", NetworkInterpolator(load_weights(LITE), device)))
    return [*versions, ("flow", FlowInterpolator())]


def load_super_resolvers(device: str) -> list[tuple[str, SuperResolver]]:
    """The versions of super-resolution with their names, cheapest first: without a network, the shipped networks on a
    few patches a picture, and on all that changed.

    Raises:
        CheckpointError: their weights are damaged.
    """
    from avcall.models.super_resolution.resolver import ALONE, FEW, GUIDED, PatchSuperResolver
    from avcall.models.super_resolution.twin import BlendSuperResolver

    versions: list[tuple[str, SuperResolver]] = [("blend", BlendSuperResolver())]
    if ALONE in table():
        guided = load_weights(GUIDED) if GUIDED in table() else None
        alone = load_weights(ALONE)
        versions.append(("few patches", PatchSuperResolver(guided, alone, device, limit=FEW)))
        versions.append(("patches", PatchSuperResolver(guided, alone, device)))
    return versions
