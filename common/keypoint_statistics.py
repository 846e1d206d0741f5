"""What keypoints of talking heads usually do: the constants of the keypoint coder. Part of the wire format.

Fitted to 90 clips (10,856 frames) of people who are not among those of any figure, in runs of 5 frames, by
`bench/keypoint_fit.py`: iteratively reweighted ridge regression. Sizes are what the rounded weights left.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """How one coordinate's difference is predicted."""

    size: int
    """Usual size of what the prediction leaves, in 256ths of a step."""
    again: int
    """Share of the same coordinate's difference one frame earlier, in 64ths."""
    weights: tuple[int, ...]
    """Shares of the differences, in the same axis, of the keypoints before it in ORDER, in 64ths."""


ORDER = (5, 9, 8, 4, 7, 6, 1, 0, 2, 3)

FIRST: tuple[tuple[Row, ...], tuple[Row, ...]] = (
    (
        Row(4209, 0, ()),
        Row(1497, 0, (45,)),
        Row(1035, 0, (9, 49)),
        Row(1609, 0, (66, -19, -11)),
        Row(165, 0, (10, 55, 5, -5)),
        Row(153, 0, (11, 8, 54, -6, -3)),
        Row(279, 0, (24, -5, -4, 34, 9, 7)),
        Row(168, 0, (11, 1, -1, 10, 1, 3, 39)),
        Row(673, 0, (-17, -26, 30, 20, 24, -9, 15, 27)),
        Row(315, 0, (-61, 11, 14, -3, 3, -2, 67, 95, -61)),
    ),
    (
        Row(2805, 0, ()),
        Row(1339, 0, (42,)),
        Row(1326, 0, (51, -12)),
        Row(1693, 0, (31, 15, 7)),
        Row(298, 0, (-3, 57, 13, -2)),
        Row(139, 0, (-1, -39, 48, 0, 56)),
        Row(1148, 0, (10, 4, -13, 68, -14, 14)),
        Row(681, 0, (48, 22, 9, 20, -23, -7, -7)),
        Row(368, 0, (-29, -26, 39, 2, 21, -21, 15, 62)),
        Row(358, 0, (-14, 53, -44, -2, -31, 27, 9, 32, 33)),
    ),
)
LATER: tuple[tuple[Row, ...], tuple[Row, ...]] = (
    (
        Row(384, 42, ()),
        Row(199, 9, (34,)),
        Row(172, 5, (21, 25)),
        Row(241, 9, (45, -3, -1)),
        Row(90, -3, (11, 51, 8, -4)),
        Row(91, -3, (8, 1, 48, -3, 11)),
        Row(110, -1, (24, 1, 0, 32, 3, 5)),
        Row(93, -1, (17, 1, 1, 14, 1, 3, 27)),
        Row(194, 3, (-12, -3, 13, 20, 3, 3, 18, 18)),
        Row(174, 2, (-22, 11, 4, 15, 2, 5, 37, 45, -37)),
    ),
    (
        Row(331, 36, ()),
        Row(190, 15, (32,)),
        Row(185, 11, (20, 24)),
        Row(362, 24, (15, 12, 8)),
        Row(117, -3, (0, 54, 14, 1)),
        Row(102, -3, (-2, -12, 50, 0, 32)),
        Row(338, -1, (-2, 0, -2, 82, -2, -1)),
        Row(204, 4, (42, 2, 4, 21, 0, -2, -7)),
        Row(149, 1, (-10, -5, 13, 7, -7, 7, 13, 43)),
        Row(130, 0, (-2, 19, -13, 4, 5, -8, 5, 21, 31)),
    ),
)
