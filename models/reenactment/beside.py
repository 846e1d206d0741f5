"""A reenactment network in a process of its own, beside the one that draws.

What takes long and may be late goes there: the repair of a pivot, its face, and what the network adds to a picture. The
threads of one Python process wait for each other's lock; another process's do not, and at a lower priority it takes
what the others leave. What is drawn at once (the warp, and the last residual on it) stays here. What crosses
over: a pivot's picture there and back, and for each look a warped picture there and the network's back.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from avcall.common.keypoints import Image, Keypoints
from avcall.models.classical import Moved
from avcall.models.interfaces import Detailed, Encoded, ModelId
from avcall.models.reenactment.generator import EncodedPivot
from avcall.models.reenactment.lean import Drawn
from avcall.models.reenactment.reenactor import NetworkPivot, NetworkReenactor, PreparedPivot
from avcall.models.reenactment.residual import Residual, residual

KEPT = 12
"""So many pivots are remembered there: more than a receiver keeps."""
NICENESS = 10
"""On systems that have it."""
_CLOSE_S = 2.0
_log = logging.getLogger(__name__)

Loads: TypeAlias = Callable[[str], NetworkReenactor]
"""Makes the reenactor of a name; a function of a module."""


class NetworkGoneError(RuntimeError):
    """The process has ended."""


class NetworkProcess:
    """The other process. One request at a time; several threads may ask."""

    def __init__(self, load: Loads, name: str) -> None:
        """Starts it and does not wait until it is ready."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, load, name), name="network", daemon=True)
        self._process.start()
        theirs.close()
        self._asking = threading.Lock()
        self._ready = self._greeted = False

    @property
    def ready(self) -> bool:
        """Whether it has loaded its network, or has ended: `ask` says which. Does not wait."""
        if not self._ready and self._asking.acquire(blocking=False):
            try:
                self._ready = self._ready or self._connection.poll()
            except OSError:
                self._ready = True
            finally:
                self._asking.release()
        return self._ready

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._process.pid

    def ask(self, what: str, *values: Any) -> Any:
        """What the other process answers; waits until it is ready.

        Raises:
            NetworkGoneError: it has ended. FloatingPointError, RuntimeError: it failed, and goes on.
        """
        with self._asking:
            try:
                if not self._greeted:
                    self._greeted = bool(self._connection.recv())
                self._connection.send((what, values))
                kind, answer = self._connection.recv()
            except (EOFError, OSError) as error:
                raise NetworkGoneError("the network's process has ended") from error
        if kind == "done":
            return answer
        raise FloatingPointError(answer) if kind == "not finite" else RuntimeError(answer)

    def close(self) -> None:
        """Ends it."""
        self._connection.close()
        self._process.join(_CLOSE_S)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()


@dataclass(frozen=True, slots=True)
class _Pivot:
    """A pivot here, and its number there; None where it is not there."""

    here: NetworkPivot
    number: int | None


class BesideReenactor:
    """A `NetworkReenactor` whose slow part runs in another process; until that is ready, and where it has ended, here.
    Implements `Reenactor`, `RepairsPivots`, `DetailedReenactor` and `LateReenactor`."""

    def __init__(self, here: NetworkReenactor, process: NetworkProcess) -> None:
        self._here, self._process = here, process
        self._count = 0
        self._gone = False

    @property
    def model(self) -> ModelId:
        return self._here.model

    @property
    def device(self) -> str:
        return self._here.device

    def encode(self, pivot: Image, keypoints: Keypoints) -> _Pivot:
        """As `NetworkReenactor.encode`."""
        self._count += 1
        prepared = self._there("encode", self._count, pivot, keypoints)
        if prepared is None:
            return _Pivot(self._here.encode(pivot, keypoints), None)
        return _Pivot(self._here.encode_prepared(prepared, keypoints), self._count)

    def encode_uncoded(self, pivot: Image, keypoints: Keypoints) -> _Pivot:
        """As `NetworkReenactor.encode_uncoded`."""
        return _Pivot(self._here.encode_uncoded(pivot, keypoints), None)

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        """As `NetworkReenactor.drive`, here."""
        return self._here.drive(_ours(encoded).here, keypoints)

    def drive_detailed(self, encoded: Encoded, keypoints: Keypoints) -> Detailed | None:
        """As `NetworkReenactor.drive_detailed`, here."""
        return self._here.drive_detailed(_ours(encoded).here, keypoints)

    def warp(self, encoded: Encoded, keypoints: Keypoints) -> Moved:
        """See `LateReenactor.warp`."""
        return self._here.warp(_ours(encoded).here, keypoints)

    def residual(self, encoded: Encoded, warped: Moved, keypoints: Keypoints) -> Residual:
        """See `LateReenactor.residual`."""
        pivot = _ours(encoded)
        drawn = None
        if pivot.number is not None:
            picture, displacement = warped.picture.numpy(), warped.displacement.contiguous().numpy()
            drawn = self._there("look", pivot.number, picture, displacement, keypoints)
        if drawn is None:
            return self._here.residual(pivot.here, warped, keypoints)
        image, correction = drawn
        return residual(warped, Drawn(image, torch.from_numpy(correction)))

    def carry(self, encoded: Encoded, warped: Moved, late: Residual, shown: Residual | None) -> Residual:
        """See `LateReenactor.carry`."""
        return self._here.carry(_ours(encoded).here, warped, late, shown)

    def finish(self, encoded: Encoded, warped: Moved, here: Residual | None) -> Image:
        """See `LateReenactor.finish`."""
        return self._here.finish(_ours(encoded).here, warped, here)

    def details(self, encoded: Encoded) -> bool:
        """See `LateReenactor.details`."""
        return self._here.details(_ours(encoded).here)

    def finish_detailed(self, encoded: Encoded, warped: Moved, here: Residual | None) -> Detailed:
        """See `LateReenactor.finish_detailed`."""
        return self._here.finish_detailed(_ours(encoded).here, warped, here)

    def _there(self, what: str, *values: Any) -> Any:
        """The other process's answer; None where there is none yet or any more, or where it has forgotten the pivot."""
        if self._gone or not self._process.ready:
            return None
        try:
            return self._process.ask(what, *values)
        except NetworkGoneError as error:
            self._gone = True
            _log.warning("%s: its work is done here from now on", error)
            return None


def _ours(encoded: Encoded) -> _Pivot:
    if not isinstance(encoded, _Pivot):
        raise TypeError(f"{type(encoded).__name__} was encoded by another reenactor")
    return encoded


# In the other process ---------------------------------------------------------------------------------------------


class _Bench:
    """The reenactor there and the pivots that it knows, by number."""

    def __init__(self, reenactor: NetworkReenactor) -> None:
        self._reenactor = reenactor
        self._pivots: OrderedDict[int, EncodedPivot] = OrderedDict()

    def encode(self, number: int, pivot: Image, keypoints: Keypoints) -> PreparedPivot:
        prepared = self._reenactor.prepare(pivot, keypoints)
        self._pivots[number] = self._reenactor.encode_features(prepared.image, keypoints)
        while len(self._pivots) > KEPT:
            self._pivots.popitem(last=False)
        return prepared

    def look(
        self, number: int, picture: NDArray[np.float32], displacement: NDArray[np.float32], keypoints: Keypoints
    ) -> tuple[Image, NDArray[np.float32]] | None:
        pivot = self._pivots.get(number)
        if pivot is None:
            return None
        self._pivots.move_to_end(number)
        drawn = self._reenactor.look_at(pivot, Moved(torch.tensor(picture), torch.tensor(displacement)), keypoints)
        return drawn.image, drawn.correction.numpy()


def _serve(connection: Connection, load: Loads, name: str) -> None:
    """Answers until the other end closes or has died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the call decides
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    bench = _Bench(load(name))
    connection.send("ready")
    with contextlib.suppress(EOFError, OSError):
        while True:
            what, values = connection.recv()
            connection.send(_answer(bench, what, values))


def _answer(bench: _Bench, what: str, values: tuple[Any, ...]) -> tuple[str, Any]:
    try:
        with torch.inference_mode():
            return "done", bench.encode(*values) if what == "encode" else bench.look(*values)
    except FloatingPointError as error:
        return "not finite", str(error)
    except Exception as error:  # noqa: BLE001 - a network may fail in any way, and the call goes on
        return "failed", f"{type(error).__name__}: {error}"
