"""`avcall bench rate-control`: how the rate controller does in simulated time, by case and stretch of one capacity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from avcall.bench.provenance import provenance
from avcall.bench.rate_control_cases import CASES, DELAY_MS, JITTER_MS, Scene
from avcall.bench.simulated_call import Flow, mean, throughput_kbps
from avcall.bench.svg_plot import line_plot

SETTLE_S = 5.0
NEAR = 0.15


@dataclass(frozen=True)
class Stretch:
    """The flows between two changes of the capacity or of their number. Rates are on the wire, from SETTLE_S after the
    beginning on."""

    from_s: float
    to_s: float
    capacity_kbps: float
    kbps: list[float]
    """What arrived, by flow."""
    target_kbps: list[float]
    fairness: float
    """Jain's index of the flows that were sending: 1 where all get the same."""
    near: float
    """The part of the time in which the sum of the targets is within NEAR of the capacity."""
    converged_s: float | None
    """When that was so for the first time, after the beginning."""
    queue_p95_ms: float
    queue_max_ms: float
    """What bundles found before them, the first SETTLE_S included."""


def measure_rate_control(told: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """The results of `avcall bench rate-control`, but for its "command"."""
    cases = []
    for name, build in CASES.items():
        scene = build().run()
        case = {
            "case": name,
            "seconds": scene.seconds,
            "flows": len(scene.flows),
            "first_pivot_ms": [ms and round(ms) for ms in (flow.log.first_pivot_ms for flow in scene.flows)],
            "report_kbps": [round(flow.report_bytes * 8 / scene.seconds / 1000, 3) for flow in scene.flows],
            "stretches": [asdict(stretch) for stretch in stretches(scene)],
            "target_kbps": [by_second(flow, scene.seconds) for flow in scene.flows],
            "capacity_kbps": [capacity(scene, second) for second in range(int(scene.seconds))],
        }
        told(line(case))
        cases.append(case)
    return {
        **provenance(),
        "clips": ["none: simulated time"],
        "settings": {"delay_ms": DELAY_MS, "jitter_ms": JITTER_MS, "queue_limit_ms": 300.0},
        "cases": cases,
    }


def stretches(scene: Scene) -> list[Stretch]:
    """A scene cut where its capacity or the number of its flows changes."""
    changes = {since_ms / 1000 for since_ms, _ in scene.capacity} | set(scene.starts_s) | set(scene.changes_s)
    return [_stretch(scene, *ends) for ends in pairwise(sorted({*changes, scene.seconds}))]


def _stretch(scene: Scene, from_s: float, to_s: float) -> Stretch:
    capacity_kbps = capacity(scene, from_s)
    flows = [flow for flow, start_s in zip(scene.flows, scene.starts_s, strict=True) if start_s <= from_s]
    since_ms, until_ms = 1000 * (from_s + SETTLE_S), 1000 * to_s
    kbps = [throughput_kbps(flow, since_ms, until_ms) for flow in flows]
    times = [at_ms for at_ms, _ in flows[0].log.target_kbps if 1000 * from_s <= at_ms < until_ms]
    sums = np.sum([[kbps for at, kbps in flow.log.target_kbps if at >= times[0]][: len(times)] for flow in flows], 0)
    near = np.abs(sums / capacity_kbps - 1.0) <= NEAR
    settled = np.array(times) >= since_ms
    queue = np.array([ms for flow in flows for at, ms in flow.log.queue_ms if 1000 * from_s <= at < until_ms])
    sending = [rate for rate in kbps if rate > 1.0]
    return Stretch(
        from_s=from_s,
        to_s=to_s,
        capacity_kbps=capacity_kbps,
        kbps=[round(rate, 2) for rate in kbps],
        target_kbps=[round(mean(flow.log.target_kbps, since_ms, until_ms), 2) for flow in flows],
        fairness=round(sum(sending) ** 2 / (len(sending) * sum(rate * rate for rate in sending)), 3),
        near=round(float(near[settled].mean()), 3),
        converged_s=round(times[int(near.argmax())] / 1000 - from_s, 2) if near.any() else None,
        queue_p95_ms=round(float(np.percentile(queue, 95)), 1),
        queue_max_ms=round(float(queue.max()), 1),
    )


def capacity(scene: Scene, at_s: float) -> float:
    """What the scene's bottleneck carries then."""
    return [kbps for since_ms, kbps in scene.capacity if since_ms <= 1000 * at_s][-1]


def by_second(flow: Flow, seconds: float) -> list[float | None]:
    """The target, a mean for each second; None before the flow begins."""
    by: dict[int, list[float]] = {}
    for at_ms, kbps in flow.log.target_kbps:
        by.setdefault(int(at_ms // 1000), []).append(kbps)
    return [round(float(np.mean(by[second])), 2) if second in by else None for second in range(int(seconds))]


def line(case: dict[str, Any]) -> str:
    """A case for the terminal."""
    rates = "; ".join(
        f"{part['capacity_kbps']:g}: {' + '.join(f'{rate:.1f}' for rate in part['kbps'])}" for part in case["stretches"]
    )
    queue_ms = max(part["queue_max_ms"] for part in case["stretches"])
    return f"{case['case']:24s} {rates}  (queue at most {queue_ms:.0f} ms)"


def write_page(results: dict[str, Any], path: Path) -> None:
    """All cases as plots, one HTML file."""
    plots = []
    for case in results["cases"]:
        names = [f"flow {number + 1}" for number in range(case["flows"])]
        series = {"capacity": case["capacity_kbps"], **dict(zip(names, case["target_kbps"], strict=True))}
        plots.append(line_plot(case["case"], "target, kbit/s", dict(list(series.items())[:5])))
    style = "svg{width:30em;margin:1em;font:11px sans-serif}.grid{stroke:#ddd}.title{font-weight:bold}"
    path.write_text(
        f"<!doctype html><meta charset=utf-8><title>{escape(results['command'])}</title><style>{style}</style>"
        + "".join(plots),
        encoding="utf-8",
    )
