"""`avcall train PART`."""

from __future__ import annotations

import importlib
import logging
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from typing import Any

from avcall.cli import add_debug_flag
from avcall.cli.flags import HelpFormatter, add_flags, build


@dataclass(frozen=True, slots=True)
class Part:
    """`function` of `module` takes a `config` and returns the path of what it wrote."""

    module: str
    config: str
    function: str
    text: str

    def load(self, name: str) -> Any:
        return getattr(importlib.import_module(f"avcall.models.training.{self.module}"), name)


PARTS = {
    "reenactment": Part(
        "reenactment_task", "ReenactmentTrainConfig", "train_reenactment", "dense motion and generator: draws the face"
    ),
    "interpolation": Part(
        "interpolation_task",
        "InterpolationTrainConfig",
        "train_interpolation",
        "the interpolator: draws the pictures between two pictures",
    ),
    "super-resolution": Part(
        "super_resolution_task",
        "SuperResolutionTrainConfig",
        "train_super_resolution",
        "patches from 256 to 512 pixels, guided by a large pivot",
    ),
    "enhancement": Part(
        "enhancement_task",
        "EnhancementTrainConfig",
        "train_enhancement",
        "repairs what coder, generator and interpolator did to a face",
    ),
    "pivot-enhancement": Part(
        "pivot_enhancement_task",
        "PivotEnhancementTrainConfig",
        "train_pivot_enhancement",
        "repairs what the coder did to a pivot, once a pivot",
    ),
    "landmarks": Part(
        "landmark_task", "LandmarkTrainConfig", "train_landmarks", "a reader of lips and lids for reenactment's losses"
    ),
    "fomm": Part(
        "fomm_task", "FommTrainConfig", "train_fomm", "the first order motion model, as a baseline to compare with"
    ),
    "detector": Part(
        "detector_training",
        "DetectorTrainConfig",
        "train_detector",
        "the keypoints that drive it, anchored to the mesh",
    ),
}
DESCRIPTION = "Trains a network on a training set that 'avcall prepare' made.\n\n" + "\n".join(
    f"  {name:18s} {part.text}" for name, part in PARTS.items()
)
EXAMPLES = """  avcall train reenactment --size lite --data pack --out run --minutes 60
  avcall train reenactment --data pack --out run --minutes 120 --resume   goes on where it stopped
  avcall train detector --data pack --out detector.safetensors"""


def add_arguments(parser: ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="|".join(PARTS))
    for name, part in PARTS.items():
        kind = kinds.add_parser(
            name,
            description=f"Trains {part.text}.",
            epilog=f"examples:\n{EXAMPLES}",
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )
        add_flags(kind, part.load(part.config))
        add_debug_flag(kind)


def run(values: Namespace) -> int:
    logging.getLogger("avcall").setLevel(min(logging.INFO, logging.getLogger().level))
    part = PARTS[values.what]
    print(f"wrote {part.load(part.function)(build(part.load(part.config), values))}")
    return 0
