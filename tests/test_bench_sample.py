"""The built-in sample: a face that moves, blinks and speaks, the same every time."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from avcall.bench.sample import SIDE, _portrait, expression_at, write_sample
from avcall.bench.sample_face import Expression, TalkingPortrait
from avcall.bench.sample_voice import STEP_S, babble
from avcall.common.errors import NoFaceError, OutputError
from avcall.common.frames import SAMPLE_RATE
from avcall.common.keypoints import Landmarks
from avcall.models.face_mesh import FaceMesh
from avcall.models.metrics_face import eye_aspect_ratio, mesh_array, mouth_opening


@pytest.fixture(scope="module")
def portrait() -> TalkingPortrait:
    return TalkingPortrait(_portrait())


def mesh_of(portrait: TalkingPortrait, expression: Expression) -> Landmarks:
    mesh = FaceMesh(video=False)
    try:
        found = mesh.find(portrait.draw(expression))
    finally:
        mesh.close()
    assert found is not None
    return found


def test_the_mouth_opens(portrait: TalkingPortrait) -> None:
    meshes = mesh_array([mesh_of(portrait, Expression(opening=opening)) for opening in (0.0, 0.5, 1.0)])
    closed, half, wide = mouth_opening(meshes)
    assert closed < half < wide
    assert wide > closed + 0.15


def test_the_eyes_close(portrait: TalkingPortrait) -> None:
    meshes = mesh_array([mesh_of(portrait, Expression(blink=blink)) for blink in (0.0, 1.0)])
    ratio = eye_aspect_ratio(meshes)
    assert ratio[1] < 0.7 * ratio[0]


def test_the_head_turns_and_the_corners_stand_still(portrait: TalkingPortrait) -> None:
    left, right = (portrait.draw(Expression(yaw_deg=yaw)) for yaw in (-10.0, 10.0))
    assert np.abs(left.astype(int) - right).max() > 60
    for corner in (np.s_[:20, :20], np.s_[:20, -20:], np.s_[-20:, :20], np.s_[-20:, -20:]):
        np.testing.assert_array_equal(left[corner], right[corner])


def test_a_portrait_without_a_face_is_refused() -> None:
    with pytest.raises(NoFaceError):
        TalkingPortrait(np.zeros((128, 128, 3), np.uint8))


def test_the_voice_is_the_same_for_the_same_seed_and_moves_the_mouth() -> None:
    voice = babble(6.0)
    again, other = babble(6.0), babble(6.0, seed=2)
    np.testing.assert_array_equal(voice.samples, again.samples)
    assert not np.array_equal(voice.samples, other.samples)
    assert len(voice.samples) == 6 * SAMPLE_RATE
    assert 1500 < np.sqrt(np.mean(voice.samples.astype(float) ** 2)) < 8000
    step = round(STEP_S * SAMPLE_RATE)
    loudness = np.sqrt(np.mean(voice.samples.astype(float).reshape(-1, step) ** 2, axis=1))
    loudness = np.convolve(loudness, np.ones(20) / 20, mode="same")
    assert np.corrcoef(loudness, voice.opening)[0, 1] > 0.4
    assert loudness.min() < 0.01 * loudness.max()  # it pauses


def test_it_blinks_every_few_seconds() -> None:
    voice = babble(10.0)
    blinks = np.array([expression_at(number / 25, voice).blink for number in range(250)])
    assert 3 <= np.sum((blinks[1:] > 0.5) & (blinks[:-1] <= 0.5)) <= 4


def test_the_file_holds_picture_and_sound(tmp_path: Path) -> None:
    write_sample(tmp_path / "sample.mp4", 1.0)
    with av.open(str(tmp_path / "sample.mp4")) as container:
        pictures = list(container.decode(video=0))
        assert (len(pictures), pictures[0].width, pictures[0].height) == (25, SIDE, SIDE)
    with av.open(str(tmp_path / "sample.mp4")) as container:
        assert abs(sum(frame.samples for frame in container.decode(audio=0)) - SAMPLE_RATE) < 2100


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_sample(tmp_path / "missing" / "sample.mp4", 1.0)
