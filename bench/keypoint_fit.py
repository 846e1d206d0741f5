"""Where the constants of `avcall.common.keypoint_statistics` come from: fits them to the faces of a folder of videos.

python -m avcall.bench.keypoint_fit CLIPS --out tables.py

ORDER, FIRST and LATER are part of the wire format: whoever changes them makes another protocol.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from avcall.bench.calls import clips_in
from avcall.bench.keypoints import Tracked, track
from avcall.bench.speed import read_clip
from avcall.common.keypoint_coder import STEPS
from avcall.common.keypoint_statistics import ORDER, Row
from avcall.common.keypoints import COUNT
from avcall.models.registry import load_pair

FRAMES = 150
"""Of each clip."""
RUN = 5
"""Frames predicted from one another, as in a bundle of 200 ms."""
RIDGE = 20.0
ROUNDS = 8
SMALLEST = 0.7
"""Steps: remainders below it weigh alike, larger ones inversely, which approaches the least sum of sizes."""

Floats: TypeAlias = NDArray[np.float64]


def fit(tracks: list[list[Tracked]]) -> dict[str, list[list[Row]]]:
    """{"FIRST" and "LATER": [axis][place in ORDER]}."""
    first: list[Floats] = []
    later: list[Floats] = []
    before: list[Floats] = []
    for frames, pivot in (run for tracked in tracks for run in _runs(tracked)):
        first.append(frames[0] - pivot)
        moves = np.diff(frames, axis=0)
        later += list(moves)
        before += [np.zeros((COUNT, 2)), *moves[:-1]][: len(moves)]
    return {
        "FIRST": _table(np.array(first), None),
        "LATER": _table(np.array(later), np.array(before)),
    }


def _runs(tracked: list[Tracked]) -> list[tuple[Floats, Floats]]:
    """Frames (N, K, 2) and pivot (K, 2) in steps."""
    runs = []
    for _, group in itertools.groupby(tracked, key=lambda entry: entry.pose.pivot_id):
        entries = list(group)
        for start in range(0, len(entries), RUN):
            part = entries[start : start + RUN]
            frames = np.rint(np.array([entry.pose.keypoints for entry in part], dtype=np.float64) * STEPS)
            runs.append((frames, np.rint(part[0].pivot.astype(np.float64) * STEPS)))
    return runs


def _table(moved: Floats, before: Floats | None) -> list[list[Row]]:
    return [[_row(moved, before, place, axis) for place in range(COUNT)] for axis in (0, 1)]


def _row(moved: Floats, before: Floats | None, place: int, axis: int) -> Row:
    point = ORDER[place]
    known = moved[:, list(ORDER[:place]), axis]
    if before is not None:
        known = np.concatenate([before[:, [point], axis], known], axis=1)
    wanted = moved[:, point, axis]
    weights = np.rint(64 * _weights(known, wanted)).astype(int)
    left = wanted - np.floor((known @ weights + 32) / 64)
    size = max(1, round(256 * float(np.abs(left).mean())))
    shares = [int(weight) for weight in weights]
    return Row(size, 0, tuple(shares)) if before is None else Row(size, shares[0], tuple(shares[1:]))


def _weights(known: Floats, wanted: Floats) -> Floats:
    weights, importance = np.zeros(known.shape[1]), np.ones(len(wanted))
    for _ in range(ROUNDS if known.shape[1] else 0):
        weighted = (known * importance[:, None]).T
        weights = np.linalg.solve(weighted @ known + RIDGE * np.eye(known.shape[1]), weighted @ wanted)
        importance = 1 / np.maximum(np.abs(wanted - known @ weights), SMALLEST)
    return weights


def source(tables: dict[str, list[list[Row]]]) -> str:
    """The tables as Python, yet to be formatted."""
    lines = [f"ORDER = {ORDER}"]
    for name, table in tables.items():
        axes = (", ".join(f"Row({row.size}, {row.again}, {row.weights})" for row in axis) for axis in table)
        lines.append(f"{name}: tuple[tuple[Row, ...], tuple[Row, ...]] = ({', '.join(f'({rows})' for rows in axes)})")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Fits, and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder of videos")
    parser.add_argument("--out", type=Path, required=True, help="file for the tables, as Python")
    options = parser.parse_args()
    detector, _ = load_pair("classical", "cpu")
    tracks = [track(read_clip(clip, FRAMES)[0], detector) for clip in clips_in(options.clips)]
    options.out.write_text(source(fit(tracks)), encoding="utf-8")


if __name__ == "__main__":
    main()
