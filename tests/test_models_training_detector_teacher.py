"""The teacher's mean is steadier than the mesh, means the same, and forgets no blink."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avcall.common.errors import InputError, OutputError
from avcall.models.training import detector_teacher
from avcall.models.training.detector_teacher import find_views, load_taught
from tests.training_pack import make_pack


class _Mesh:
    """Finds the bright square, off by noise, and by a constant where the picture is shifted."""

    def __init__(self, video: bool) -> None:
        assert video
        self._noise = np.random.default_rng(0)

    def find(self, image: np.ndarray) -> np.ndarray | None:
        rows, columns = np.nonzero(image[..., 0] > 200)
        if not len(rows):
            return None
        middle = np.array([columns.mean(), rows.mean()]) + self._noise.normal(scale=0.5, size=2)
        bias = 0.3 * (columns.mean() - 100)
        points = np.zeros((468, 3), dtype=np.float32)
        points[:, :2] = (middle + bias) / 127.5 - 1
        return points

    def close(self) -> None:
        pass


def _pictures(places: list[int]) -> list[np.ndarray]:
    pictures = [np.zeros((256, 256, 3), dtype=np.uint8) for _ in places]
    for picture, y in zip(pictures, places, strict=True):
        picture[y - 3 : y + 4, 97:104] = 255
    return pictures


def test_views_average_to_less_jitter_the_same_mean_and_the_whole_blink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector_teacher, "FaceMesh", _Mesh)
    places = [120] * 20 + [126] + [120] * 20
    noise = np.random.default_rng(1).normal(scale=0.5, size=(41, 1, 2))
    own = np.zeros((41, 468, 3), dtype=np.float32)
    own[..., :2] = (np.stack([np.full(41, 100), places], -1)[:, None] + noise) / 127.5 - 1
    views = find_views(_pictures(places), own)
    assert views.shape == (41, 6, 468, 2)
    assert np.array_equal(views[:, 0], own[..., :2])
    means = views[:, :, 0].mean(0)
    assert np.abs(means - means[0]).max() < 1e-6
    taught = views[:, 1:, 0].mean(1) * 127.5
    assert np.std(taught[:20, 1]) < 0.6 * np.std(own[:20, 0, 1] * 127.5)
    assert taught[20, 1] - np.median(taught[:, 1]) == pytest.approx(6.0, abs=1.5)


def test_a_picture_without_a_face_keeps_its_own_mesh() -> None:
    own = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 468, 3)).astype(np.float32)
    views = find_views([np.full((128, 128, 3), 90, dtype=np.uint8)] * 2, own)
    assert np.abs(views - own[:, None, :, :2]).max() < 1e-6


def test_answers_are_kept_and_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack, keep = make_pack(tmp_path / "pack"), tmp_path / "keep"
    first = load_taught(pack, "train", 5, keep)
    assert len(first.frames) == len(first.segmentation) == len(first.views) == 10
    assert first.clip.tolist() == [0] * 5 + [1] * 5
    monkeypatch.setattr(detector_teacher, "find_views", None)
    assert np.array_equal(load_taught(pack, "train", 5, keep).views, first.views)


def test_no_pack_no_clips_and_no_place_to_keep_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="avcall prepare"):
        load_taught(tmp_path, "train", 5, Path())
    pack = make_pack(tmp_path / "pack")
    with pytest.raises(InputError, match="no test clips"):
        load_taught(pack, "test", 5, Path())
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--teacher"):
        load_taught(pack, "val", 5, tmp_path / "file")
