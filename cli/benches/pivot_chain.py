"""`avcall bench pivot-chain`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avcall.common.config import flag


@dataclass(frozen=True, kw_only=True, slots=True)
class PivotChainConfig:
    """Codes a picture a second of each clip as one chain, by each setting, and measures likeness, bytes and time."""

    clips: Path = flag(Path(), "folder of clips, all of one size", metavar="DIR", required=True)
    json: Path | None = flag(None, "also write the results to this file", metavar="FILE")


def bench_pivot_chain(config: PivotChainConfig) -> dict[str, Any]:
    from avcall.bench.calls import clips_in
    from avcall.bench.pivot_chain import measure
    from avcall.bench.provenance import provenance
    from avcall.cli.quiet import one_thread_each

    clips = clips_in(config.clips)
    one_thread_each()
    results = measure(clips)
    for row in results["rows"]:
        print(
            f"{row['setting']:26s} crf {row['crf']}  key frame {row['key_bytes']:5.0f} B, {row['key_ms']:4.0f} ms  "
            f"link {row['link_bytes']:4.0f} B, {row['link_ms']:3.0f} ms  {row['psnr_db']:.1f} dB  "
            f"LPIPS {row['lpips_alex']:.4f}"
        )
    return {**provenance(), **results}
