"""Identity tells people apart, and says what it lacks."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from avcall.common.errors import CheckpointError
from avcall.models.face_mesh import FaceMesh
from avcall.models.identity import IdentityNetwork, cosine_similarity, embedding_distance


def test_distances() -> None:
    a, b = np.array([1.0, 0.0]), np.array([0.0, 2.0])
    assert embedding_distance(a, b) == pytest.approx(5**0.5)
    assert cosine_similarity(a, b) == 0
    assert cosine_similarity(a, 3 * a) == pytest.approx(1)


def test_a_missing_package_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match=r"avcall\[bench\]"):
        IdentityNetwork()


@pytest.mark.clips
@pytest.mark.skipif(
    importlib.util.find_spec("dlib") is None or importlib.util.find_spec("face_recognition_models") is None,
    reason="dlib-bin or face-recognition-models is not installed: pip install 'avcall[bench]'",
)
def test_people_are_told_apart(clips_dir: Path) -> None:
    network = IdentityNetwork()

    def embeddings(name: str) -> list[NDArray[np.float64]]:
        mesh = FaceMesh(video=False)
        with av.open(str(clips_dir / "test" / name)) as clip:
            frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
        found = [(frames[index], mesh.find(frames[index])) for index in (0, 60)]
        mesh.close()
        return [network.embed(image, landmarks) for image, landmarks in found if landmarks is not None]

    one, other = embeddings("p031_01.mp4"), embeddings("p147_01.mp4")
    assert embedding_distance(*one) < 0.4
    assert embedding_distance(*other) < 0.4
    assert embedding_distance(one[0], other[0]) > 0.6
