"""Which still-picture coder should carry a pivot? Quality per byte, and time, on first frames of real clips.

python -m avcall.bench.pivot_intra CLIPS --out results/pivot_intra.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from avcall.bench.provenance import provenance
from avcall.bench.tensors import tensor
from avcall.common.errors import InputError
from avcall.common.keypoints import Image
from avcall.common.wire import PivotCodec
from avcall.models.lpips import Lpips
from avcall.models.metrics import psnr, ssim
from avcall.models.pivot_codec import decode_pivot, encode_av1, encode_pivot, encode_webp

BUDGETS_BYTES = (1000, 2000, 3000, 5000)
FIRST_FRAME = 12
"""Half a second in: some clips fade in."""
REPEATS = 3


@dataclass(frozen=True)
class Coder:
    """A coder with a quality setting; `settings` run from the best quality to the worst."""

    name: str
    codec: PivotCodec
    encode: Callable[[Image, int], bytes]
    settings: range

    def size(self, picture: Image, setting: int) -> int:
        """Bytes of the picture at this setting."""
        return len(self.encode(picture, setting))


CODERS = (
    *(
        Coder(f"av1 preset {preset}", PivotCodec.AVIF, partial(encode_av1, preset=preset), range(8, 64))
        for preset in (4, 6, 8, 10)
    ),
    Coder("webp", PivotCodec.WEBP, encode_webp, range(95, 0, -1)),
)


@dataclass(frozen=True)
class Row:
    """One coder at one budget: means over the clips that fit it."""

    coder: str
    budget_bytes: int
    fitting: int
    """Pictures that fit the budget at some setting; the other figures are over these."""
    size_bytes: float
    psnr_db: float
    ssim: float
    lpips_alex: float
    encode_ms: float
    """One encoding at the final setting, on one thread."""
    decode_ms: float


def measure(clips: list[Path], clock: Callable[[], float] = time.perf_counter) -> dict[str, Any]:
    """Every coder at every budget, at the best setting that fits: {"clips", "rows", "encode_pivot"}."""
    pictures = [first_picture(path) for path in clips]
    lpips = Lpips("alex")
    rows = [_row(coder, budget, pictures, lpips, clock) for coder in CODERS for budget in BUDGETS_BYTES]
    searches = [_milliseconds(partial(encode_pivot, p, 5000), clock) for p in pictures]
    return {
        "clips": [path.stem for path in clips],
        "rows": [asdict(row) for row in rows],
        "encode_pivot_5000_ms": {"p50": float(np.median(searches)), "max": max(searches)},
    }


def _row(coder: Coder, budget: int, pictures: Iterable[Image], lpips: Lpips, clock: Callable[[], float]) -> Row:
    found: list[tuple[float, ...]] = []
    for picture in pictures:
        setting = best_fitting(partial(coder.size, picture), coder.settings, budget)
        if setting is None:
            continue
        height, width = picture.shape[:2]
        coded = coder.encode(picture, setting)
        shown = decode_pivot(coder.codec, coded, width, height)
        with torch.no_grad():
            distance = float(lpips(tensor(picture), tensor(shown)))
        encode_ms = _milliseconds(partial(coder.encode, picture, setting), clock)
        decode_ms = _milliseconds(partial(decode_pivot, coder.codec, coded, width, height), clock)
        found.append((len(coded), psnr(picture, shown), ssim(picture, shown), distance, encode_ms, decode_ms))
    means = [round(float(value), 4) for value in np.mean(found, axis=0)] if found else [float("nan")] * 6
    return Row(coder.name, budget, len(found), *means)


def best_fitting(size: Callable[[int], int], settings: range, budget: int) -> int | None:
    """The first of `settings` (best quality first, sizes falling) whose size fits; None where the last does not."""
    if size(settings[-1]) > budget:
        return None
    low, high = 0, len(settings) - 1
    while low < high:
        middle = (low + high) // 2
        if size(settings[middle]) <= budget:
            high = middle
        else:
            low = middle + 1
    return settings[low]


def first_picture(clip: Path) -> Image:
    """The frame FIRST_FRAME of a clip.

    Raises:
        InputError: no video, or a shorter one.
    """
    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == FIRST_FRAME:
                return np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    raise InputError(f"{clip} has fewer than {FIRST_FRAME + 1} frames")


def _milliseconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    took = []
    for _ in range(REPEATS):
        begin = clock()
        work()
        took.append((clock() - begin) * 1000.0)
    return min(took)


def main() -> None:
    """Measures and writes the results file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, help="folder of clips, all of one size")
    parser.add_argument("--out", type=Path, required=True, help="results file to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips = sorted(options.clips.glob("*.mp4"))
    if not clips:
        raise SystemExit(f"{options.clips} holds no .mp4: give the folder of the test clips")
    command = f"python -m avcall.bench.pivot_intra CLIPS/{options.clips.name} --out {options.out}"
    results = {"command": command, **provenance(), **measure(clips)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
