"""A painter in a process of its own: on a CPU, where a call's other threads would make the network wait.

A look of the network is a few hundred small operations, and before each it waits for the interpreter's lock while
drawing, sound or the event loop hold it (docs/frame-budget.md). In another process it has a lock of its own. It does
one thing at a time: while it makes a pivot ready it does not look at pictures, so it never takes more than one core.

    call: PainterProcess.prepare -> pivot, keypoints ->          process: NetworkPainter.prepare
          PainterProcess.paint   -> moved picture, keypoints ->           NetworkPainter.paint

The process ends with the pipe: when it is closed, and when the call's process is gone in whatever way.
"""

from __future__ import annotations

import logging
import signal
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from avcall.common.keypoints import Image, Keypoints
from avcall.common.threads import yield_to_others
from avcall.models.classical import Moved
from avcall.models.reenactment.lean import Drawn, together
from avcall.models.reenactment.painter import NetworkGoneError, NetworkPainter, Prepared

PATIENCE_S = 30.0
"""An answer that takes longer will not come. The first one waits for the process to load."""
_PREPARE, _PAINT = "prepare", "paint"
_log = logging.getLogger(__name__)


def _end_tracker() -> None:
    """Python starts a process of its own beside the first that is spawned, to clean up after it. Nothing here needs it,
    and it would outlive the call by a moment; who needs it later starts it anew."""
    stop = getattr(resource_tracker._resource_tracker, "_stop", None)
    if stop is not None:
        stop()


class _Kept:
    """Stands for a pivot that the process keeps; when nobody needs this any more, the process forgets it too."""

    def __init__(self, number: int) -> None:
        self.number = number


class PainterProcess:
    """Implements `Painter`."""

    device = "cpu"

    def __init__(self, load: Callable[[], NetworkPainter]) -> None:
        """`load` makes the painter in the process, and must be picklable; the process loads while this one goes on."""
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._asking = threading.Lock()
        self._process = context.Process(target=_serve, args=(load, theirs), name="avcall-network", daemon=True)
        self._process.start()
        theirs.close()
        self._numbers = 0
        self._forgotten: list[int] = []
        self._gone = False

    def prepare(self, pivot: Image, keypoints: Keypoints, coded: bool) -> Prepared:
        """See `Painter`."""
        self._numbers += 1
        kept = _Kept(self._numbers)
        prepared = self._ask(_PREPARE, kept.number, pivot, keypoints, coded)
        assert isinstance(prepared, Prepared)
        weakref.finalize(kept, self._forgotten.append, kept.number)
        return replace(prepared, kept=kept)

    def paint(self, kept: _Kept, moved: Moved, keypoints: Keypoints) -> Drawn:
        """See `Painter`."""
        picture, displacement = together(moved.picture), moved.displacement.numpy()
        image, correction = self._ask(_PAINT, kept.number, picture, displacement, keypoints)
        return Drawn(image, torch.from_numpy(correction))

    def close(self) -> None:
        """Ends the process."""
        self._gone = True
        self._pipe.close()
        self._process.join(1.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        _end_tracker()

    def _ask(self, what: str, *values: object) -> Any:
        forget = [self._forgotten.pop() for _ in range(len(self._forgotten))]
        with self._asking:
            if self._gone:
                raise NetworkGoneError("the network's process has ended")
            try:
                self._pipe.send((what, forget, values))
                if not self._pipe.poll(PATIENCE_S):
                    raise TimeoutError(f"no answer in {PATIENCE_S:.0f} s")
                failure, answer = self._pipe.recv()
            except (OSError, EOFError) as error:  # TimeoutError is an OSError
                self._gone = True
                _log.warning("the network's process is gone (%s): the call goes on without it", error or "it ended")
                raise NetworkGoneError("the network's process has ended") from error
        if failure is not None:
            raise failure
        return answer


class _Server:
    """In the process: the painter, and the pivots that the call still needs."""

    def __init__(self, load: Callable[[], NetworkPainter]) -> None:
        self._painter = load()
        self._kept: dict[int, Any] = {}

    def serve(self, pipe: Connection) -> None:
        """Answers until the pipe ends."""
        while True:
            try:
                what, forget, values = pipe.recv()
                for number in forget:
                    self._kept.pop(number, None)
                pipe.send(self._answered(what, *values))
            except (OSError, EOFError):
                return

    def _answered(self, what: str, *values: Any) -> tuple[Exception | None, object]:
        try:
            return None, self._prepare(*values) if what == _PREPARE else self._paint(*values)
        except Exception as error:  # noqa: BLE001 - whatever a network raises is the call's to count
            return error, None

    def _prepare(self, number: int, pivot: Image, keypoints: Keypoints, coded: bool) -> Prepared:
        prepared = self._painter.prepare(pivot, keypoints, coded)
        self._kept[number] = prepared.kept
        return replace(prepared, kept=None)

    def _paint(
        self, number: int, picture: NDArray[np.float32], displacement: NDArray[np.float32], keypoints: Keypoints
    ) -> tuple[Image, NDArray[np.float32]]:
        moved = Moved(torch.from_numpy(picture).permute(2, 0, 1), torch.from_numpy(displacement))
        drawn = self._painter.paint(self._kept[number], moved, keypoints)
        return drawn.image, drawn.correction.numpy()


def _serve(load: Callable[[], NetworkPainter], pipe: Connection) -> None:
    """The process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the call, which then closes the pipe
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    yield_to_others()
    _Server(load).serve(pipe)
