"""Pairs follow from (seed, rank, step) alone, and mean what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avcall.common.errors import InputError
from avcall.common.keypoints import (
    EYE_LEFT,
    EYE_RIGHT,
    LID_LEFT,
    LID_RIGHT,
    LOWER_LIP,
    MESH_INDICES,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    UPPER_LIP,
    Image,
)
from avcall.common.scene import STILL, SceneMotion, Similarity
from avcall.models.reenactment.motion import cell_centres, sample
from avcall.models.training import scenes
from avcall.models.training.carrying import Carrier, Pivot
from avcall.models.training.pairs import CROP_EIGHTHS, LENDERS, Pack, face_shape, mirror
from avcall.models.training.repaired_pivots import EVERY, repair_pivots
from tests.classical_portrait import eyes, talking
from tests.training_pack import make_pack


def test_the_same_seed_draws_the_same_pairs(tmp_path: Path) -> None:
    pack = Pack(make_pack(tmp_path, 192), "train")
    one, same, other = (pack.draw(np.random.default_rng([0, 0, step]), 4) for step in (5, 5, 6))
    for field in (
        "pivot",
        "driving",
        "pivot_keypoints",
        "driving_keypoints",
        "carried",
        "displacement",
        "crop_left",
        "crop_top",
    ):
        assert torch.equal(getattr(one, field), getattr(same, field))
    assert not torch.equal(one.driving_keypoints, other.driving_keypoints)
    assert one.pivot.shape == (4, 192, 192, 3)
    assert one.pivot.dtype == torch.uint8
    room = 192 // 8 - CROP_EIGHTHS
    many = pack.draw(np.random.default_rng(0), 32)
    assert 0 <= int(many.crop_left.min()) <= int(many.crop_left.max()) <= room
    assert len(set(many.crop_top.tolist())) > 2


def test_keypoints_belong_to_their_pictures(tmp_path: Path) -> None:
    pack = Pack(make_pack(tmp_path), "train")
    pairs = pack.draw(np.random.default_rng(3), 16)
    for number in range(16):
        straight = pairs.driving[number].numpy(), pairs.driving_keypoints[number].numpy()
        found = [
            np.abs(clip.keypoints[i] - points).max() < 0.02 and np.array_equal(frame, picture)
            for picture, points in (straight, (straight[0][:, ::-1], mirror(straight[1])))
            for clip in pack.clips
            for i, frame in enumerate(clip.frames)
        ]
        assert any(found)


def test_what_is_carried_lies_where_the_displacement_says(tmp_path: Path) -> None:
    pairs = Pack(make_pack(tmp_path), "train").draw(np.random.default_rng(3), 8)
    pivot = pairs.pivot.permute(0, 3, 1, 2) / 255.0
    where = cell_centres(128, 128) + pairs.displacement.permute(0, 2, 3, 1)
    inside = (where.abs() < 0.9).all(-1)[:, None]
    error = ((sample(pivot, where, 128) - pairs.carried).abs() * inside).mean((1, 2, 3))
    # only lids and lips are painted otherwise; a mirrored pair with a displacement that is not would differ all over
    assert float(error.max()) < 0.02


def pivot(opening: float) -> Pivot:
    picture, mesh = talking(opening)
    return Pivot(picture, mesh[list(MESH_INDICES), :2].copy(), mesh, np.full((64, 64), 255, np.uint8))


def test_a_mouth_is_borrowed_where_another_picture_opened_it_more_alike() -> None:
    shut, wide = pivot(0.05), pivot(0.9)
    alone, _ = Carrier().carry(shut, wide.keypoints)
    borrowed, _ = Carrier().carry(shut, wide.keypoints, [pivot(0.4), wide, shut])
    truth = wide.image.transpose(2, 0, 1) / 255.0
    x, y = ((wide.keypoints[[UPPER_LIP, LOWER_LIP]].mean(0) + 1) * 127.5).round().astype(int)
    mouth = np.s_[:, y - 16 : y + 16, x - 16 : x + 16]
    assert np.abs(borrowed[mouth] - truth[mouth]).mean() < 0.7 * np.abs(alone[mouth] - truth[mouth]).mean()
    assert np.array_equal(Carrier().carry(shut, shut.keypoints, [wide])[0], Carrier().carry(shut, shut.keypoints)[0])


def test_only_what_a_call_would_have_had_may_lend(tmp_path: Path) -> None:
    pack = Pack(make_pack(tmp_path, frames=90), "train")
    seen = 0
    for number in range(200):
        generator = np.random.default_rng(number)
        choice = pack.choose(generator)
        earlier = pack.earlier(choice, generator)
        known = [choice.clip.coded[at].tobytes() for at in np.flatnonzero(choice.clip.coded_index < choice.start)]
        assert all(pivot.image.tobytes() in known for pivot in earlier)
        assert len(earlier) <= min(LENDERS, min(choice.start, choice.end) // 6 + 1)
        assert choice.coded is not None or not earlier
        seen += bool(earlier)
    assert 40 < seen < 150


def test_lids_are_shut_where_the_eyes_dip(tmp_path: Path) -> None:
    folder = make_pack(tmp_path)
    landmarks = np.stack([eyes(0.7 if number == 20 else 1.0) for number in range(30)])
    np.save(folder / "train" / "clip0" / "landmarks.npy", landmarks)
    moved = Pack(folder, "train").clips[0].keypoints - landmarks[:, list(MESH_INDICES), :2]
    assert np.unique(np.argwhere(moved)[:, :2], axis=0).tolist() == [[20, LID_LEFT], [20, LID_RIGHT]]
    assert (moved[20, [LID_LEFT, LID_RIGHT], 1] > 0.0).all()


def test_mirroring_swaps_sides_and_undoes_itself() -> None:
    points = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)
    assert mirror(points)[MOUTH_LEFT].tolist() == [-points[MOUTH_RIGHT, 0], points[MOUTH_RIGHT, 1]]
    assert mirror(points)[EYE_RIGHT].tolist() == [-points[EYE_LEFT, 0], points[EYE_LEFT, 1]]
    assert np.array_equal(mirror(mirror(points)), points)


def test_an_opening_mouth_changes_the_shape_most_where_it_should(tmp_path: Path) -> None:
    keypoints = Pack(make_pack(tmp_path), "train").clips[0].keypoints.copy()
    keypoints[10:, LOWER_LIP, 1] += 0.1
    assert (keypoints[0, UPPER_LIP] != keypoints[0, LOWER_LIP]).any()
    change = np.abs(face_shape(keypoints)[20] - face_shape(keypoints)[0])
    assert change[0] == change[:3].max()


def test_a_folder_that_is_no_pack_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="avcall prepare"):
        Pack(tmp_path, "train")
    make_pack(tmp_path)
    with pytest.raises(InputError, match="no test clips"):
        Pack(tmp_path, "test")
    frames = tmp_path / "train" / "clip0" / "frames.npy"
    frames.write_bytes(frames.read_bytes()[:100])
    with pytest.raises(InputError, match="damaged clip"):
        Pack(tmp_path, "train")


def test_repaired_pivots_take_the_place_of_coded_ones(tmp_path: Path) -> None:
    class Brighter:
        def enhance(self, image: Image) -> Image:
            return np.asarray(np.clip(image.astype(int) + 9, 0, 255), dtype=np.uint8)

    folder = make_pack(tmp_path / "pack")
    plain = Pack(folder, "train")
    repair_pivots(plain, Brighter(), tmp_path / "pivots" / "train")
    for clip, before in zip(Pack(folder, "train", tmp_path / "pivots").clips, plain.clips, strict=True):
        assert np.array_equal(clip.coded_index, before.coded_index[::EVERY])
        expected = [Brighter().enhance(np.array(picture)) for picture in before.coded[::EVERY]]
        assert np.array_equal(clip.coded, expected)
        assert np.array_equal(clip.frames, before.frames)
    with pytest.raises(InputError, match="damaged clip"):
        Pack(folder, "val", tmp_path / "pivots")  # of this split there are none


def test_a_background_that_moved_is_carried_along(tmp_path: Path) -> None:
    folder = make_pack(tmp_path)
    assert scenes.motion(Pack(folder, "train").clips[0].scene, 3, 20) == STILL  # a pack from before there were scenes
    rows = np.zeros((30, 7), np.float32)
    rows[:, 1] = np.arange(30) / 64
    rows[25:, 0] = 1.0
    np.save(folder / "train" / "clip0" / "scene.npy", rows)
    clip = Pack(folder, "train").clips[0]
    assert scenes.motion(clip.scene, 4, 20).background.shift == pytest.approx(0.25)
    assert scenes.motion(clip.scene, 20, 4).background.shift == pytest.approx(-0.25)
    assert scenes.motion(clip.scene, 20, 25) == STILL
    shut = pivot(0.05)
    shut.segmentation[:, :20] = 0
    panned = SceneMotion(Similarity(shift=0.25 + 0j))
    _, displacement = Carrier().carry(shut, shut.keypoints, scene=panned)
    assert pytest.approx(np.array([[-0.25, 0.0]] * 90), abs=1e-5) == displacement[:, 10:100, 5].T


def test_scenes_of_a_pack_are_those_of_a_tracker() -> None:
    shut = pivot(0.05)
    rows = scenes.track([(shut.image, shut.landmarks, shut.segmentation)] * 4)
    assert rows.shape == (4, 7)
    assert rows.dtype == np.float32
    assert not rows.any()
