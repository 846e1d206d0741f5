"""Settings that every training run shares; each part adds its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avcall.common.config import flag


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """The flags of every `avcall train PART` that runs the common loop."""

    data: Path = flag(Path(), "training pack, made by avcall prepare", metavar="DIR", required=True)
    out: Path = flag(Path(), "folder for checkpoints, weights, samples and the log", metavar="DIR", required=True)
    size: str = flag("lite", "which network", choices=("lite", "full"))
    minutes: float = flag(60.0, "how long to train; the learning rate falls to its end in this time", metavar="MINUTES")
    steps: int = flag(0, "train for this many steps instead of by time; 0 means by time", metavar="N")
    batch: int = flag(8, "samples a step and process", metavar="N")
    processes: int = flag(1, "processes, each with one thread (CPU) or one GPU", metavar="N")
    average_every: int = flag(
        1, "average weights every n-th step instead of gradients every step: for slow links and busy cores", metavar="N"
    )
    loaders: int = flag(
        0,
        "processes that make a process's batches ahead; for a GPU, nearly all cores; 0 makes them in between",
        metavar="N",
    )
    precision: str = flag(
        "auto",
        "auto computes in bf16 where that is multiplied natively, else in float32 (a GPU's TF32)",
        choices=("auto", "float32"),
    )
    device: str = flag("auto", "where to train", choices=("auto", "cpu", "cuda"))
    learning_rate: float = flag(1e-3, "largest learning rate of Adam", metavar="RATE")
    adversarial: float = flag(0.0, "weight of the adversarial loss; 0 trains without a critic", metavar="W")
    adversarial_from: int = flag(
        4000, "step from which the adversarial loss fades in; the critic learns from the start", metavar="STEP"
    )
    seed: int = flag(0, "seed of weights and samples", metavar="N")
    resume: bool = flag(False, "go on from the last checkpoint in --out")
    start: Path | None = flag(
        None, "start from the weights of this checkpoint or weights file, with a fresh schedule", metavar="FILE"
    )
    save_minutes: float = flag(3.0, "minutes between checkpoints", metavar="MINUTES")
    judge_minutes: float = flag(8.0, "minutes between evaluations on the val clips", metavar="MINUTES")
