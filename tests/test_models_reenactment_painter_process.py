"""The network in a process of its own: the same pictures, its failures, and its end."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
from contextlib import ExitStack
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from avcall.common.keypoints import Image, Keypoints
from avcall.models.classical import Moved
from avcall.models.classical_reader import Known
from avcall.models.reenactment import painter_process
from avcall.models.reenactment.lean import Drawn
from avcall.models.reenactment.painter import NetworkGoneError, Prepared
from avcall.models.reenactment.painter_process import PainterProcess, _Server
from avcall.models.reenactment.reenactor import NetworkReenactor
from avcall.models.registry import load_pair
from tests.classical_portrait import portrait, portrait_keypoints


class Noting:
    """A painter that keeps the keypoints and paints with them."""

    device = "cpu"

    def prepare(self, pivot: Image, keypoints: Keypoints, coded: bool) -> Prepared:
        if not coded:
            raise FloatingPointError("no finite numbers")
        return Prepared(pivot, None, Known(), float(keypoints[0, 0]))

    def paint(self, kept: Any, moved: Moved, keypoints: Keypoints) -> Drawn:
        return Drawn(np.full((4, 4, 3), kept, np.uint8), torch.zeros(1, 2, 1, 1))


class InThisProcess:
    """Stands for a multiprocessing context whose processes are threads."""

    def __init__(self) -> None:
        self.servers: list[_Server] = []

    def Pipe(self) -> tuple[Connection, Connection]:  # noqa: N802 - multiprocessing's name
        return Pipe()

    def Process(self, target: Any, args: Any, name: str, daemon: bool) -> Any:  # noqa: N802
        load, pipe = args
        server = _Server(load)
        self.servers.append(server)
        theirs = Connection(os.dup(pipe.fileno()))  # the call closes what it gave away

        class Started:
            def start(self) -> None:
                threading.Thread(target=server.serve, args=(theirs,), daemon=True).start()

            def join(self, timeout: float | None = None) -> None: ...

            def is_alive(self) -> bool:
                return False

        return Started()


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> InThisProcess:
    context = InThisProcess()
    monkeypatch.setattr(painter_process, "get_context", lambda method: context)
    return context


def test_it_draws_what_the_network_draws_here_and_outlives_its_end() -> None:
    points = portrait_keypoints()
    moved = points + np.float32(0.05)
    with ExitStack() as stack:
        (_, here), (_, there) = load_pair("lite", "cpu"), load_pair("lite", "cpu", apart=stack)
        assert isinstance(there, NetworkReenactor)
        assert there.model == here.model
        pictures = [each.drive(each.encode(portrait(), points), moved) for each in (here, there)]
        assert np.array_equal(*pictures)
        before = there.encode(portrait(), points)
        warped = there.warp(before, moved)
        late = there.finish(before, warped, there.residual(before, warped, moved))
        assert np.abs(late.astype(int) - pictures[0]).max() <= 1
        with pytest.raises(ValueError, match="squares"):
            there.encode(portrait()[:100], points)
        (process,) = multiprocessing.active_children()
        process.kill()
        process.join()
        with pytest.raises(NetworkGoneError):
            there.drive(before, points)
        after = there.encode(portrait(), points)
        for encoded in (before, after):
            warped = there.warp(encoded, points)
            assert np.abs(there.finish(encoded, warped, None).astype(int) - portrait()).mean() < 5.0
            with pytest.raises(NetworkGoneError):
                there.residual(encoded, warped, points)


def test_the_process_ends_with_its_call() -> None:
    before = set(psutil.Process().children(recursive=True))
    with ExitStack() as stack:
        load_pair("lite", "cpu", apart=stack)
        assert len(multiprocessing.active_children()) == 1
    left = set(psutil.Process().children(recursive=True)) - before
    assert not left, "nor does what Python starts beside it stay"


def test_what_the_painter_raises_is_raised_here_and_harms_nothing(threads: InThisProcess) -> None:
    painter = PainterProcess(Noting)  # type: ignore[arg-type]
    points = np.full((10, 2), 7.0, np.float32)
    with pytest.raises(FloatingPointError, match="no finite numbers"):
        painter.prepare(portrait(), points, coded=False)
    kept = painter.prepare(portrait(), points, coded=True).kept
    moved = Moved(torch.zeros(3, 4, 4), torch.zeros(4, 4, 2))
    assert (painter.paint(kept, moved, points).image == 7).all()
    painter.close()
    with pytest.raises(NetworkGoneError):
        painter.paint(kept, moved, points)


def test_pivots_that_nobody_needs_are_forgotten_there_too(threads: InThisProcess) -> None:
    painter = PainterProcess(Noting)  # type: ignore[arg-type]
    points = np.zeros((10, 2), np.float32)
    first = painter.prepare(portrait(), points, coded=True)
    for _ in range(20):
        painter.prepare(portrait(), points, coded=True)
        gc.collect()
    assert len(threads.servers[0]._kept) <= 3
    assert first.kept.number in threads.servers[0]._kept
    painter.close()


def test_an_answer_that_does_not_come_is_not_waited_for(
    threads: InThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painter_process, "PATIENCE_S", 0.05)
    release = threading.Event()

    class Hanging(Noting):
        def prepare(self, pivot: Image, keypoints: Keypoints, coded: bool) -> Prepared:
            release.wait(10.0)
            return super().prepare(pivot, keypoints, coded)

    painter = PainterProcess(Hanging)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(NetworkGoneError):
            painter.prepare(portrait(), np.zeros((10, 2), np.float32), coded=True)
    release.set()
    painter.close()
