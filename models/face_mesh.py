"""mediapipe's face mesh behind one small class: the only module that imports mediapipe's face solutions."""

from __future__ import annotations

import contextlib
import functools
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avcall.common.errors import AvcallError
from avcall.common.keypoints import Image, Landmarks

POINTS = 468


class FaceMesh:
    """Finds the 468 mesh points of the one face in a picture.

    `video=True` follows the face from frame to frame (4-7 ms a frame); `video=False` treats each picture alone
    (three to four times slower, for stills). Not safe for use by two threads at once.
    """

    def __init__(self, video: bool, min_confidence: float = 0.5) -> None:
        os.environ.setdefault("GLOG_minloglevel", "2")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with _quiet_stderr():
            try:
                from mediapipe.python.solutions.face_mesh import FaceMesh as MediapipeFaceMesh
            except ImportError as error:
                raise AvcallError(f"mediapipe does not load ({error}): install mediapipe==0.10.21") from error
            self._mesh: Any = MediapipeFaceMesh(
                static_image_mode=not video,
                max_num_faces=1,
                refine_landmarks=False,
                min_detection_confidence=min_confidence,
                min_tracking_confidence=min_confidence,
            )
        self._first = True

    def find(self, image: Image) -> Landmarks | None:
        """Landmarks (468, 3) of the picture's face in the keypoint convention, None where there is no face."""
        height, width = image.shape[:2]
        if self._first:  # mediapipe logs as it builds its graph
            self._first = False
            with _quiet_stderr():
                result = self._mesh.process(np.ascontiguousarray(image))
        else:
            result = self._mesh.process(np.ascontiguousarray(image))
        if not result.multi_face_landmarks:
            return None
        points = np.array([(p.x, p.y, p.z) for p in result.multi_face_landmarks[0].landmark[:POINTS]], dtype=np.float32)
        # mediapipe divides by the picture's size (a pixel's centre lies at i + 0.5) and gives z in the scale of x
        size = np.array([width, height], dtype=np.float32)
        points[:, :2] = (points[:, :2] * size - 0.5) * 2.0 / (size - 1.0) - 1.0
        points[:, 2] *= 2.0 * width / (width - 1.0)
        return points

    def reset(self) -> None:
        """Forgets the tracked face (after a cut)."""
        self._mesh.reset()

    def close(self) -> None:
        self._mesh.close()


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """mediapipe's C++ logs go straight to file descriptor 2, past Python and its own log levels."""
    saved = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)


@functools.cache
def mesh_triangles() -> NDArray[np.int64]:
    """The mesh's triangles (852, 3) as mediapipe publishes their edges; eyes and mouth are holes. The order and the
    winding of the triangles mean nothing."""
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION

    near: dict[int, set[int]] = {}
    for start, end in FACEMESH_TESSELATION:
        near.setdefault(start, set()).add(end)
        near.setdefault(end, set()).add(start)
    found = {tuple(sorted((a, b, c))) for a in near for b in near[a] for c in near[a] & near[b]}
    sides = Counter(frozenset(pair) for a, b, c in found for pair in ((a, b), (b, c), (a, c)))
    # three edges that close on themselves around a nostril are no face: each already belongs to two triangles
    real = [t for t in found if min(sides[frozenset(pair)] for pair in ((t[0], t[1]), (t[1], t[2]), (t[0], t[2]))) < 3]
    return np.array(sorted(real), dtype=np.int64)
