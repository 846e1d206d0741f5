"""The pivots of a clip as a receiver encodes them."""

from __future__ import annotations

from avcall.common.keypoints import Image, Keypoints
from avcall.models.interfaces import Encoded, Reenactor, followed


def add_pivot(encoded: list[Encoded], reenactor: Reenactor, picture: Image, keypoints: Keypoints) -> None:
    """Encodes the next pivot, which follows the last of `encoded`."""
    alone = reenactor.encode(picture, keypoints)
    encoded.append(followed(reenactor, alone, encoded[-1] if encoded else None))
