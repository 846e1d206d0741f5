"""The marks over the picture."""

from __future__ import annotations

import numpy as np
import pytest

from avcall.receiver.overlay import Badges, draw_overlay

PICTURE = np.full((256, 256, 3), 128, np.uint8)


def test_the_picture_itself_is_left_alone() -> None:
    before = PICTURE.copy()
    marked = draw_overlay(PICTURE, Badges(fps=25, kbps=41, pivot_age_s=3))
    assert np.array_equal(PICTURE, before)
    assert (marked != before).any(axis=2)[:40, 128:].any(), "the synthesised badge is at the top right"
    assert (marked != before).any(axis=2)[-40:, :].any(), "the figures are at the bottom"
    assert not (marked != before).any(axis=2)[60:200].any(), "the face stays free"


@pytest.mark.parametrize("grey", [0, 128, 255])
@pytest.mark.parametrize("side", [128, 256, 512, 1024])
def test_it_reads_on_any_picture(grey: int, side: int) -> None:
    marked = draw_overlay(np.full((side, side, 3), grey, np.uint8), Badges(face_lost=True))
    bottom = marked[-side // 24 :, : side // 4].max(axis=2).astype(int)
    assert bottom.max() - np.median(bottom) >= 100


@pytest.mark.parametrize(
    ("badges", "words"),
    [
        (Badges(), []),
        (Badges(held=True), ["held"]),
        (Badges(held=True, face_lost=True), ["face lost"]),
        (Badges(held=True, video_muted=True, voice_muted=True), ["camera off", "peer muted"]),
        (Badges(sound_off=True), ["sound off"]),
    ],
)
def test_what_is_wrong_is_said(badges: Badges, words: list[str]) -> None:
    lines = badges.warnings()
    assert len(lines) == len(words)
    assert all(word in line for word, line in zip(words, lines, strict=True))
