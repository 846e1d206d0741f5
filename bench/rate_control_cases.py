"""The cases of `avcall bench rate-control`: those of RFC 8867 that apply, at a fraction of its rates, and the
bottlenecks that the project promises something about. Each builds its network and flows in a `Simulation`.

Left out: sections 5.6 and 5.7 (TCP in the same queue: a simulated TCP would prove little about a real one), 6.1
(priorities: a call is one flow), 6.2 (ECN: a data channel does not see it) and 6.3 (several bottlenecks).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from avcall.bench.simulated_call import GREEDY, Flow, pair
from avcall.bench.simulated_network import Bottleneck, Simulation, Way
from avcall.sender.rate_control_allowance import Wants

Capacity = Sequence[tuple[float, float]]
JITTER_MS = 10.0
DELAY_MS = 50.0


@dataclass
class Scene:
    """A case, built: its flows, and the capacity that they share."""

    seconds: float
    capacity: Capacity
    simulation: Simulation = field(default_factory=Simulation)
    flows: list[Flow] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)
    changes_s: tuple[float, ...] = ()
    """When a flow pauses or goes on."""

    def bottleneck(self, capacity: Capacity | None = None) -> Bottleneck:
        """A queue of this capacity, the scene's own if none is given."""
        return Bottleneck(self.simulation, self.capacity if capacity is None else capacity)

    def way(self, bottleneck: Bottleneck | None, *, delay_ms: float = DELAY_MS, loss: float = 0.0) -> Way:
        """One direction."""
        seed = 2 * len(self.flows) + (bottleneck is None)
        return Way(self.simulation, bottleneck, delay_ms, JITTER_MS, loss, seed)

    def add(
        self,
        bottleneck: Bottleneck,
        *,
        start_s: float = 0.0,
        delay_ms: float = DELAY_MS,
        loss: float = 0.0,
        wants: Wants = GREEDY,
        pauses_s: tuple[tuple[float, float], ...] = (),
    ) -> Flow:
        """A flow through the bottleneck, its reports coming back by a way of their own."""
        flow = Flow(
            self.simulation,
            self.way(bottleneck, delay_ms=delay_ms, loss=loss),
            self.way(None, delay_ms=delay_ms, loss=loss),
            wants=wants,
            start_ms=1000.0 * start_s,
            pauses_ms=tuple((1000.0 * begin, 1000.0 * end) for begin, end in pauses_s),
        )
        self.flows.append(flow)
        self.starts_s.append(start_s)
        return flow

    def run(self) -> Scene:
        """To its end."""
        self.simulation.run(1000.0 * self.seconds)
        return self


def steady(kbps: float, *, loss: float = 0.0, delay_ms: float = DELAY_MS, seconds: float = 30.0) -> Scene:
    """One flow, one capacity."""
    scene = Scene(seconds, [(0.0, kbps)])
    scene.add(scene.bottleneck(), loss=loss, delay_ms=delay_ms)
    return scene


def returning() -> Scene:
    """The capacity falls to a third, and returns."""
    scene = Scene(60.0, in_seconds((0, 50), (15, 17), (35, 50)))
    scene.add(scene.bottleneck())
    return scene


def app_limited() -> Scene:
    """A call that needs about 20 kbit/s on a link of 500."""
    scene = Scene(60.0, [(0.0, 500.0)])
    scene.add(scene.bottleneck(), wants=Wants(voice_kbps=8.0, span_ms=120, pivot_kbps=3.0))
    return scene


def single_flow() -> Scene:
    """RFC 8867 section 5.1."""
    scene = Scene(100.0, in_seconds((0, 50), (40, 125), (60, 30), (80, 50)))
    scene.add(scene.bottleneck())
    return scene


def two_flows() -> Scene:
    """RFC 8867 section 5.2."""
    scene = Scene(125.0, in_seconds((0, 100), (25, 50), (50, 87.5), (75, 25), (100, 50)))
    shared = scene.bottleneck()
    for _ in range(2):
        scene.add(shared)
    return scene


def congested_feedback() -> Scene:
    """RFC 8867 section 5.3: the reports and acknowledgements of each direction take the congested way of the other."""
    scene = Scene(100.0, in_seconds((0, 50), (20, 25), (40, 25), (60, 50)))
    first = scene.add(scene.bottleneck())
    second = scene.add(scene.bottleneck(in_seconds((0, 50), (35, 20), (70, 50))))
    pair(first, second)
    return scene


def competing() -> Scene:
    """RFC 8867 section 5.4."""
    scene = Scene(120.0, [(0.0, 90.0)])
    shared = scene.bottleneck()
    for start_s in (0.0, 20.0, 40.0):
        scene.add(shared, start_s=start_s)
    return scene


def round_trips() -> Scene:
    """RFC 8867 section 5.5."""
    scene = Scene(200.0, [(0.0, 150.0)])
    shared = scene.bottleneck()
    for number, delay_ms in enumerate((10.0, 25.0, 50.0, 100.0, 150.0)):
        scene.add(shared, start_s=10.0 * number, delay_ms=delay_ms)
    return scene


def pausing() -> Scene:
    """RFC 8867 section 5.8: the first of three flows is silent from 40 to 60 s."""
    scene = Scene(120.0, [(0.0, 90.0)], changes_s=(40.0, 60.0))
    shared = scene.bottleneck()
    for number in range(3):
        scene.add(shared, pauses_s=((40.0, 60.0),) if number == 0 else ())
    return scene


def in_seconds(*steps: tuple[float, float]) -> Capacity:
    """(from s, kbit/s) as (from ms, kbit/s)."""
    return [(1000.0 * since_s, float(kbps)) for since_s, kbps in steps]


STEADY_KBPS = (15, 20, 30, 50, 100)
CASES: dict[str, Callable[[], Scene]] = {
    **{f"bottleneck of {kbps}": (lambda kbps=kbps: steady(kbps)) for kbps in STEADY_KBPS},  # type: ignore[misc]
    "50, 10 % random loss": lambda: steady(50, loss=0.1, seconds=60.0),
    "50, 30 % random loss": lambda: steady(50, loss=0.3, seconds=60.0),
    "capacity returns": returning,
    "needs 20 of 500": app_limited,
    "5.1 one flow": single_flow,
    "5.2 two flows": two_flows,
    "5.3 congested feedback": congested_feedback,
    "5.4 three flows": competing,
    "5.5 round trips": round_trips,
    "5.8 pause and resume": pausing,
}
