"""The fit finds what moves with what, and writes it as Python."""

from __future__ import annotations

import numpy as np

from avcall.bench.keypoint_fit import fit, source
from avcall.bench.keypoints import Tracked
from avcall.common.frames import Pose
from avcall.common.keypoint_statistics import ORDER, Row
from avcall.common.keypoints import COUNT


def rigid(frames: int = 400) -> list[Tracked]:
    """All keypoints move as the nose does, which goes its own way."""
    rng = np.random.default_rng(4)
    pivot = (np.arange(20, dtype=np.float32).reshape(COUNT, 2) - 10) / 16
    path = np.cumsum(rng.integers(-6, 7, (frames, 1, 2)), axis=0) / 256
    return [Tracked(Pose(40.0 * i, 0, (pivot + path[i]).astype(np.float32)), pivot) for i in range(frames)]


def test_what_moves_with_the_nose_is_left_with_nothing() -> None:
    tables = fit([rigid()])
    for name in ("FIRST", "LATER"):
        for axis in tables[name]:
            assert [len(row.weights) for row in axis] == list(range(COUNT))
            nose, *others = axis
            assert nose.size > 256  # steps of up to six, of which nothing tells
            assert all(row.size < nose.size / 5 for row in others)
            assert all(abs(sum(row.weights) - 64) <= 8 for row in others)


def test_the_source_is_python_that_says_the_same() -> None:
    tables = fit([rigid(60)])
    found: dict[str, object] = {"Row": Row}
    exec(compile(source(tables), "tables", "exec", dont_inherit=True), found)
    assert found["ORDER"] == ORDER
    for name, table in tables.items():
        assert found[name] == tuple(tuple(axis) for axis in table)
