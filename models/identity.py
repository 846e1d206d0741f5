"""Whether the shown face is still the same person: dlib's face embedding of original and shown pictures.

The network is dlib's ResNet (King, "dlib_face_recognition_resnet_model_v1", 128 numbers, Euclidean distance below
about 0.6 between pictures of one person) from the `face-recognition-models` package, run by `dlib-bin`. The face is
aligned by five points of the mesh in the place of dlib's own landmark network.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avcall.common.errors import CheckpointError
from avcall.common.keypoints import Image, Landmarks, to_pixels

_FILE = "dlib_face_recognition_resnet_model_v1.dat"
_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
_FIVE_POINTS = (263, 362, 33, 133, 2)
"""Mesh points in the order of dlib's five: the eye at the image's right, outer and inner corner, the eye at its left,
outer and inner corner, and the base of the nose."""


class IdentityNetwork:
    """Embeds faces; 0.1 to 0.3 s a face on one core."""

    def __init__(self) -> None:
        """
        Raises:
            CheckpointError: a package is not installed, or its file is not the known one.
        """
        path = _weights_file()
        try:
            import dlib
        except ImportError as error:
            raise CheckpointError(f"identity needs dlib ({error}): pip install 'avcall[bench]'") from error
        self._dlib: Any = dlib
        self._network: Any = dlib.face_recognition_model_v1(str(path))

    def embed(self, image: Image, landmarks: Landmarks) -> NDArray[np.float64]:
        """The face's embedding, (128,). `landmarks` is the mesh of the same picture."""
        height, width = image.shape[:2]
        pixels = np.rint(to_pixels(landmarks[:, :2], width, height)).astype(int)
        (left, top), (right, bottom) = pixels.min(0).tolist(), pixels.max(0).tolist()
        box = self._dlib.rectangle(left, top, right, bottom)
        points = [self._dlib.point(*pixels[index].tolist()) for index in _FIVE_POINTS]
        shape = self._dlib.full_object_detection(box, points)
        return np.array(self._network.compute_face_descriptor(np.ascontiguousarray(image), shape))


def embedding_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """AED of one frame: Euclidean distance of two embeddings."""
    return float(np.linalg.norm(a - b))


def cosine_similarity(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """CSIM of one frame: cosine of the angle between two embeddings. dlib's lie close together, so strangers reach 0.8
    and more; read it beside the distance."""
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _weights_file() -> Path:
    spec = importlib.util.find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "models" / _FILE
        if not path.is_file():
            continue
        if hashlib.sha256(path.read_bytes()).hexdigest() != _SHA256:
            raise CheckpointError(
                f"{_FILE} is not that of face-recognition-models 0.3.0: pip install face-recognition-models==0.3.0"
            )
        return path
    raise CheckpointError("identity needs the package face-recognition-models: pip install 'avcall[bench]'")
