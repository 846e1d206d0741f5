"""`avcall bench keypoints`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcall.cli.benches.output import say
from avcall.common.config import DEFAULT_MODEL, flag


@dataclass(frozen=True, kw_only=True, slots=True)
class KeypointsConfig:
    """Tracks the faces of a folder of videos and codes their keypoints as '--wire coded' does."""

    clips: Path = flag(Path(), "folder of videos", metavar="DIR", required=True)
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")
    model: str = flag(DEFAULT_MODEL, "reenactment model", metavar="NAME")


def bench_keypoints(config: KeypointsConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in
    from avcall.bench.keypoints import measure_keypoints
    from avcall.cli.quiet import one_thread_each
    from avcall.models.registry import load_pair

    clips = clips_in(config.clips)
    one_thread_each()
    results = measure_keypoints(clips, load_pair(config.model, "cpu")[0], say)
    for row in results["spans"]:
        print(
            f"{row['span_ms']:4d} ms  {row['coded_bytes_a_frame']:5.2f} B a frame, {row['coded_kbps']:.2f} kbit/s, "
            f"with headers {row['bundle_kbps']:.2f} kbit/s; {row['rms_px_per_coordinate']:.3f} px rms"
        )
    return results
