"""What keypoints of talking heads usually do: the constants of the keypoint coder. Part of the wire format.

Fitted to 83 clips of people who are not in any test, 5 frames a run, by iteratively reweighted ridge regression; sizes
are what the rounded weights left of those clips.
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
        Row(4244, 0, ()),
        Row(1576, 0, (46,)),
        Row(999, 0, (7, 52)),
        Row(1713, 0, (63, -12, -12)),
        Row(155, 0, (10, 55, 4, -5)),
        Row(160, 0, (11, 4, 53, -6, 2)),
        Row(272, 0, (24, -3, -6, 34, 7, 8)),
        Row(165, 0, (14, 5, -1, 11, -3, 3, 35)),
        Row(739, 0, (-19, -31, 33, 18, 30, -14, 13, 34)),
        Row(344, 0, (-60, 10, 16, 0, 3, -3, 62, 95, -61)),
    ),
    (
        Row(2829, 0, ()),
        Row(1359, 0, (40,)),
        Row(1384, 0, (53, -13)),
        Row(1780, 0, (31, 12, 10)),
        Row(286, 0, (-3, 57, 13, -1)),
        Row(138, 0, (-1, -38, 49, 0, 55)),
        Row(1167, 0, (5, -3, 3, 70, 2, -6)),
        Row(726, 0, (49, 22, 14, 21, -23, -14, -8)),
        Row(391, 0, (-30, -26, 41, 1, 22, -23, 16, 63)),
        Row(367, 0, (-14, 46, -42, -3, -23, 23, 9, 34, 32)),
    ),
)
LATER: tuple[tuple[Row, ...], tuple[Row, ...]] = (
    (
        Row(394, 43, ()),
        Row(202, 11, (33,)),
        Row(174, 6, (21, 27)),
        Row(245, 9, (44, -2, -2)),
        Row(90, -2, (11, 51, 8, -4)),
        Row(89, -2, (8, 1, 48, -3, 11)),
        Row(115, -1, (24, 0, 0, 33, 3, 5)),
        Row(93, 0, (17, 1, 1, 15, 1, 3, 26)),
        Row(201, 4, (-12, -3, 12, 20, 4, 3, 17, 19)),
        Row(175, 2, (-22, 11, 5, 15, 1, 4, 37, 46, -37)),
    ),
    (
        Row(340, 36, ()),
        Row(193, 14, (32,)),
        Row(190, 11, (21, 24)),
        Row(371, 24, (15, 11, 7)),
        Row(117, -3, (-1, 54, 14, 1)),
        Row(100, -3, (-1, -12, 50, 0, 31)),
        Row(347, -1, (-3, -2, -1, 84, -1, -2)),
        Row(208, 4, (42, 1, 4, 21, 1, -2, -8)),
        Row(155, 1, (-11, -6, 13, 7, -7, 7, 13, 44)),
        Row(134, 0, (-3, 19, -13, 4, 6, -9, 5, 22, 31)),
    ),
)
