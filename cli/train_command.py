"""`avcall train reenactment` and `avcall train detector`."""

from __future__ import annotations

import json
import logging
from argparse import ArgumentParser, Namespace

from avcall.cli import add_debug_flag
from avcall.cli.flags import HelpFormatter, add_flags, build
from avcall.models.training.detector_training import DetectorTrainConfig
from avcall.models.training.train_config import TrainConfig

DESCRIPTION = """Trains a network on a training set that 'avcall prepare' made.

  reenactment  dense motion and generator: what draws the face
  detector     the keypoints that drive it"""
EXAMPLES = """  avcall train reenactment --size lite --data pack --out run --minutes 60
  avcall train reenactment --data pack --out run --minutes 120 --resume   goes on where it stopped
  avcall train detector --data pack --out detector.safetensors"""

_KINDS = {
    "reenactment": (TrainConfig, "Trains dense motion and generator. Checkpoints, samples and the log go to --out."),
    "detector": (DetectorTrainConfig, "Trains the keypoint detector, anchored to ten points of the face mesh."),
}


def add_arguments(parser: ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="|".join(_KINDS))
    for name, (config, description) in _KINDS.items():
        kind = kinds.add_parser(
            name,
            description=description,
            epilog=f"examples:\n{EXAMPLES}",
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )
        add_flags(kind, config)
        add_debug_flag(kind)


def run(values: Namespace) -> int:
    from avcall.models.training.detector_training import train_detector
    from avcall.models.training.loop import train

    logging.getLogger("avcall").setLevel(min(logging.INFO, logging.getLogger().level))
    if values.what == "detector":
        detector = build(DetectorTrainConfig, values)
        figures = train_detector(detector)
        print(json.dumps(figures, indent=1))
        print(f"wrote {detector.out}")
        return 0
    print(f"wrote {train(build(TrainConfig, values))}")
    return 0
