"""The network in another process: the same pictures, and a call that goes on without it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from avcall.models.interfaces import DetailedReenactor, LateReenactor, ModelId, RepairsPivots
from avcall.models.reenactment.beside import BesideReenactor, NetworkGoneError, NetworkProcess
from avcall.models.reenactment.config import NetworkConfig
from avcall.models.reenactment.generator import ReenactmentNetwork
from avcall.models.reenactment.reenactor import NetworkReenactor
from tests.classical_portrait import portrait, portrait_keypoints

TINY = NetworkConfig(motion=(4, 4, 4, 4), motion_features=2, encoder=(4, 4, 4), decoder=(4, 4, 4), code=4)
FAILS_AT = 128
"""Side of the pivots that the test's enhancer makes nothing finite of."""


class Darker:
    """Repairs pivots, after a fashion."""

    def enhance(self, image: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        if len(image) == FAILS_AT:
            raise FloatingPointError("NaN")
        return np.asarray(image - image // 8, dtype=np.uint8)


def load(name: str) -> NetworkReenactor:
    """In this process and the other: a network that paints over every picture."""
    torch.manual_seed(int(name))
    network = ReenactmentNetwork(TINY)
    assert network.paint.bias is not None
    with torch.no_grad():
        network.paint.bias[12:] = 0.0
        network.paint.bias[:12] = 0.2
    return NetworkReenactor(network, ModelId("tiny", "0" * 8), "cpu", pivot_enhancer=Darker())


def refuse(name: str) -> NetworkReenactor:
    raise RuntimeError(f"no {name}")


@pytest.fixture(scope="module", autouse=True)
def importable() -> Iterator[None]:
    """The other process finds this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1]))
        yield


@pytest.fixture(scope="module")
def process(importable: None) -> Iterator[NetworkProcess]:
    started = ready(NetworkProcess(load, "3"))
    yield started
    started.close()


def ready(process: NetworkProcess) -> NetworkProcess:
    """Waits until it is."""
    until = time.monotonic() + 60.0
    while not process.ready and time.monotonic() < until:
        time.sleep(0.05)
    assert process.ready
    return process


@pytest.mark.real_time
def test_the_other_process_draws_the_same(process: NetworkProcess) -> None:
    here = load("3")
    beside = BesideReenactor(here, process)
    assert isinstance(beside, LateReenactor)
    assert isinstance(beside, RepairsPivots)
    assert isinstance(beside, DetailedReenactor)
    assert (beside.model, beside.device) == (here.model, "cpu")
    points = portrait_keypoints()
    moved = points + np.float32(0.05)
    encoded, alone = beside.encode(portrait(), points), here.encode(portrait(), points)
    assert encoded.number is not None, "it was encoded there"
    assert np.array_equal(beside.drive(encoded, moved), here.drive(alone, moved))
    warped = beside.warp(encoded, moved)
    assert np.array_equal(beside.finish(encoded, warped, None), here.finish(alone, here.warp(alone, moved), None))
    there, own = beside.residual(encoded, warped, moved), here.residual(alone, warped, moved)
    assert np.abs(there.change - own.change).max() <= 1.0
    assert np.abs(there.correction - own.correction).max() < 1e-3
    assert not beside.details(encoded)
    assert beside.drive_detailed(encoded, moved) is None


@pytest.mark.real_time
def test_a_repair_that_fails_there_fails_as_here_and_the_process_goes_on(process: NetworkProcess) -> None:
    beside, points = BesideReenactor(load("3"), process), portrait_keypoints()
    small = np.ascontiguousarray(portrait()[::2, ::2])
    with pytest.raises(FloatingPointError, match="NaN"):
        beside.encode(small, points)
    uncoded = beside.encode_uncoded(small, points)
    assert beside.details(uncoded)
    assert beside.drive(uncoded, points).shape == small.shape
    with pytest.raises(RuntimeError, match="wants squares"):
        beside.encode(np.ascontiguousarray(portrait()[:100]), points)
    nothing = np.zeros((3, 256, 256), np.float32)
    assert process.ask("look", 99_999, nothing, nothing, points) is None, "a pivot that it does not know"
    assert beside.encode(portrait(), points).number is not None


@pytest.mark.real_time
def test_a_call_outlives_the_other_process() -> None:
    process = NetworkProcess(load, "3")
    beside, points = BesideReenactor(load("3"), process), portrait_keypoints()
    early = beside.encode(portrait(), points)
    assert early.number is None, "it does not wait for a process that is not ready"
    ready(process)
    encoded = beside.encode(portrait(), points)
    assert encoded.number is not None
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    warped = beside.warp(encoded, points)
    assert np.abs(beside.residual(encoded, warped, points).change).max() > 0
    again = beside.encode(portrait(), points)
    assert np.array_equal(beside.drive(again, points), beside.drive(encoded, points))
    with pytest.raises(NetworkGoneError):
        process.ask("look", 1, points, points, points)
    process.close()


@pytest.mark.real_time
def test_a_network_that_cannot_be_loaded_there_is_run_here() -> None:
    process = ready(NetworkProcess(refuse, "3"))
    beside, points = BesideReenactor(load("3"), process), portrait_keypoints()
    assert beside.encode(portrait(), points).number is None
    process.close()


@pytest.mark.real_time
def test_closing_ends_the_other_process() -> None:
    process = NetworkProcess(load, "3")
    process.ask("look", 1, None, None, None)
    assert process.pid is not None
    process.close()
    time.sleep(0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
