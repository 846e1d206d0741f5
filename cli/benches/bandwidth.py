"""`avcall bench bandwidth`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from avcall.bench.bandwidth_config import BandwidthConfig, checked


def bench_bandwidth(config: BandwidthConfig) -> dict[str, Any]:
    from avcall.bench.bandwidth import clips_of, run_bandwidth
    from avcall.bench.bandwidth_page import write_page
    from avcall.bench.bandwidth_progress import ProgressLine
    from avcall.bench.bandwidth_results import summarise
    from avcall.bench.bandwidth_table import markdown
    from avcall.bench.sample import write_sample
    from avcall.cli.quiet import one_thread_each

    config = checked(config)
    one_thread_each()
    with tempfile.TemporaryDirectory() as folder:
        if config.clips is None:
            clips = [Path(folder) / "sample.mp4"]
            write_sample(clips[0], config.seconds or 10.0)
        else:
            clips = clips_of(config.clips, config.limit)
        shelf = run_bandwidth(config, clips, ProgressLine())
        results = summarise(shelf)
        write_page(shelf, results, clips)
    print(markdown(results))
    return results
