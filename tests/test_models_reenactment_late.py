"""The network's residual, carried from picture to picture, and what is drawn without it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from avcall.common.keypoints import Image, Keypoints
from avcall.models.classical import ClassicalReenactor, Moved
from avcall.models.interfaces import LateReenactor, ModelId
from avcall.models.reenactment.config import LITE
from avcall.models.reenactment.generator import ReenactmentNetwork
from avcall.models.reenactment.painter import NetworkPainter
from avcall.models.reenactment.reenactor import NetworkReenactor
from avcall.models.reenactment.residual import NO_CHANGE, Residual, carry, repaired, shown_flow
from tests.classical_portrait import portrait, portrait_keypoints


@pytest.fixture(scope="module")
def reenactor() -> NetworkReenactor:
    """Paints something over every picture."""
    torch.manual_seed(0)
    network = ReenactmentNetwork(LITE)
    assert network.paint.bias is not None
    with torch.no_grad():
        network.paint.bias[12:] = 0.0
    return NetworkReenactor(NetworkPainter(network, "cpu"), ModelId("untrained", "0" * 8))


def _large() -> Image:
    return np.asarray(cv2.resize(portrait(), (512, 512), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _levels_apart(one: Image, other: Image) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def _shifted(points: Keypoints, by: float) -> Keypoints:
    return points + np.float32(by)


def test_without_a_residual_the_picture_is_the_classical_one(reenactor: NetworkReenactor) -> None:
    assert isinstance(reenactor, LateReenactor)
    points = portrait_keypoints()
    moved = _shifted(points, 0.05)
    classical = ClassicalReenactor()
    expected = classical.drive(classical.encode(portrait(), points), moved)
    encoded = reenactor.encode(portrait(), points)
    made = reenactor.finish(encoded, reenactor.warp(encoded, moved), None)
    assert np.abs(made.astype(int) - expected).max() <= 1
    assert _levels_apart(reenactor.drive(encoded, moved), expected) > 20


def test_with_its_own_residual_a_picture_is_what_the_network_draws(reenactor: NetworkReenactor) -> None:
    points = portrait_keypoints()
    encoded, moved = reenactor.encode(portrait(), points), _shifted(points, 0.05)
    warped = reenactor.warp(encoded, moved)
    made = reenactor.finish(encoded, warped, reenactor.residual(encoded, warped, moved))
    assert np.abs(made.astype(int) - reenactor.drive(encoded, moved)).max() <= 1


def _residual(change: NDArray[np.float32], displacement: tuple[float, float] = (0.0, 0.0)) -> Residual:
    """One that paints `change` (S, S, 3) over a picture whose every pixel is the pivot's at a distance in pixels."""
    half = len(change) // 2
    cells = np.full((half, half, 2), displacement, np.float32) / 2.0
    painted = (change + NO_CHANGE).clip(0, 255).astype(np.uint8)
    return Residual(painted, cells, np.zeros((half, half, 2), np.float32))


def _moved(value: float, displacement: NDArray[np.float32]) -> Moved:
    """A plain picture, and the displacement (S, S, 2) in pixels that it was made by."""
    side = len(displacement)
    return Moved(torch.full((3, side, side), value), torch.from_numpy(displacement * np.float32(2.0 / (side - 1))))


def _everywhere(x: float) -> NDArray[np.float32]:
    return np.full((32, 32, 2), (x, 0.0), np.float32)


def test_a_residual_moves_with_the_face(reenactor: NetworkReenactor) -> None:
    points = portrait_keypoints()
    encoded = reenactor.encode(portrait(), points)
    then, now = (reenactor.warp(encoded, _shifted(points, by)) for by in (0.0, 8 / 127.5))
    change = np.zeros((256, 256, 3), np.float32)
    x, y = (round((at + 1) * 127.5) for at in points[2])
    change[y - 3 : y + 4, x - 3 : x + 4] = 90.0  # a mark at one of the points
    cells = np.ascontiguousarray(then.displacement.numpy()[::2, ::2] * np.float32(127.5 / 2))
    mark = replace(_residual(change), displacement=cells)
    added = repaired(now, carry(now, mark, None)).astype(int) - repaired(now, None)
    rows, columns = np.nonzero(added.max(-1) > 40)
    assert abs(columns.mean() - (x + 8)) < 1.0
    assert abs(rows.mean() - (y + 8)) < 1.0


def test_a_residual_is_found_where_the_same_point_of_the_pivot_was_shown() -> None:
    """x + D(x) = y + D'(y) with D = -6 pixels across and D' = -2 everywhere: y = x - 4."""
    change = np.zeros((32, 32, 3), np.float32)
    change[10, 12] = (50.0, -30.0, 120.0)
    then = replace(_residual(change, (-2.0, 0.0)), correction=np.full((16, 16, 2), 0.25, np.float32))
    now = _moved(150.0, _everywhere(-6.0))
    here = carry(now, then, None)
    made = repaired(now, here)
    assert made[10, 16].tolist() == [200, 120, 255]
    made[10, 16] = 150
    assert (made == 150).all()
    assert shown_flow(now, here)[10, 16] == pytest.approx((-5.75, 0.25))
    assert shown_flow(now, None)[10, 16] == pytest.approx((-6.0, 0.0))


def test_the_warped_picture_is_moved_as_the_network_moved_another() -> None:
    ramp = torch.arange(32.0).expand(3, 32, 32) * 4.0
    right = np.full((16, 16, 2), (2.0, 0.0), np.float32)
    then = replace(_residual(np.zeros((32, 32, 3), np.float32)), correction=right)
    still = Moved(ramp, torch.zeros(32, 32, 2))
    assert repaired(still, carry(still, then, None))[5, 10].tolist() == [48, 48, 48]


def test_a_new_residual_is_eased_in() -> None:
    still = _moved(100.0, _everywhere(0.0))

    def of(value: float) -> Residual:
        return _residual(np.full((32, 32, 3), value, np.float32))

    first = carry(still, of(50.0), None)
    assert (repaired(still, first) == 150).all()
    second = carry(still, of(-50.0), first)
    assert (repaired(still, second) == 80).all()
    assert 55 < int(repaired(still, carry(still, of(-50.0), second))[0, 0, 0]) < 65


def test_no_residual_is_carried_to_where_the_pictures_tear() -> None:
    """The other picture shows the pivot's left half left of the tear, and right of it what lies 12 pixels further: what
    this picture shows in between, the other does not. Near a tear, two pixels are not sure."""
    tear = np.zeros((16, 16, 2), np.float32)
    tear[:, 8:, 0] = 6.0
    then = replace(_residual(np.full((32, 32, 3), 50.0, np.float32)), displacement=tear)
    whole = _moved(100.0, _everywhere(0.0))
    made = repaired(whole, carry(whole, then, None))
    assert (made[:, :14] == 150).all(), "left of the tear both show the same"
    assert (made[:, 18:26] == 100).all(), "twelve columns of the pivot are hidden in the other"


def test_a_large_pivot_comes_in_two_parts(reenactor: NetworkReenactor) -> None:
    points = portrait_keypoints()
    encoded, small = reenactor.encode(_large(), points), reenactor.encode(portrait(), points)
    assert reenactor.details(encoded)
    assert not reenactor.details(small)
    warped = reenactor.warp(encoded, points)
    detailed = reenactor.finish_detailed(encoded, warped, None)
    assert detailed.image.shape == (256, 256, 3)
    assert _levels_apart(detailed.reference, _large()) < 3.0
    assert reenactor.finish(encoded, warped, None).shape == (512, 512, 3)
    whole = reenactor.drive_detailed(encoded, points)
    late = reenactor.finish_detailed(encoded, warped, reenactor.residual(encoded, warped, points))
    assert whole is not None
    assert np.abs(late.image.astype(int) - whole.image).max() <= 1
    assert _levels_apart(late.reference, whole.reference) < 0.1
    with pytest.raises(ValueError, match="no details"):
        reenactor.finish_detailed(small, reenactor.warp(small, points), None)


def test_a_network_that_draws_nothing_leaves_no_residual() -> None:
    network = ReenactmentNetwork(LITE)
    assert network.paint.bias is not None
    with torch.no_grad():
        network.paint.bias.fill_(float("nan"))
    broken = NetworkReenactor(NetworkPainter(network, "cpu"), ModelId("broken", "0" * 8))
    points = portrait_keypoints()
    encoded = broken.encode(portrait(), points)
    with pytest.raises(FloatingPointError, match="no finite numbers"):
        broken.residual(encoded, broken.warp(encoded, points), points)


def test_what_another_reenactor_encoded_is_refused(reenactor: NetworkReenactor) -> None:
    with pytest.raises(TypeError, match="another reenactor"):
        reenactor.warp("foreign", portrait_keypoints())
