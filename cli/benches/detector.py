"""`avcall bench detector`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcall.cli.benches.output import say
from avcall.common.config import flag
from avcall.common.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectorConfig:
    """Jitter of learned detectors beside the face mesh's own, distance to it, and the time of the detect path."""

    clips: Path = flag(Path(), "folder of clips of one face each, square", metavar="DIR", required=True)
    weights: tuple[Path, ...] = flag((), "weights of a detector, from avcall train detector", metavar="FILE")
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    seconds: float = flag(6.0, "only the first seconds of each clip", metavar="SECONDS")


def bench_detector(config: DetectorConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in
    from avcall.bench.detector import measure_detectors
    from avcall.cli.quiet import one_thread_each

    if config.seconds < 1.0:
        raise ConfigError("--seconds must be at least 1")
    clips = clips_in(config.clips)
    one_thread_each()
    results = measure_detectors(clips, config.weights, config.seconds, say)
    for row in results["rows"]:
        print(
            f"{row['detector']:16s} jitter {row['jitter_px']:.3f} px, "
            f"{row['distance_to_mesh_px']:.2f} px from the mesh, detect path {row['detect_path_ms']:.1f} ms"
        )
    return results
