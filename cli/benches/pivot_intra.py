"""`avcall bench pivot-intra`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcall.common.config import flag


@dataclass(frozen=True, kw_only=True, slots=True)
class PivotIntraConfig:
    """Codes a picture of each clip with each coder at 1 to 5 kB and measures likeness and time."""

    clips: Path = flag(Path(), "folder of clips, all of one size", metavar="DIR", required=True)
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")


def bench_pivot_intra(config: PivotIntraConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in
    from avcall.bench.pivot_intra import measure
    from avcall.bench.provenance import provenance
    from avcall.cli.quiet import one_thread_each

    clips = clips_in(config.clips)
    one_thread_each()
    results = measure(clips)
    for row in results["rows"]:
        print(
            f"{row['coder']:14s} {row['budget_bytes']:5d} B  {row['psnr_db']:5.1f} dB  SSIM {row['ssim']:.3f}  "
            f"LPIPS {row['lpips_alex']:.3f}  {row['encode_ms']:4.0f} ms"
        )
    return {**provenance(), **results}
