"""`avcall bench loss`: whole calls in both directions on virtual time, through losses and thin links.

Sender, session, receiver and rate control are the real ones; face, camera, voice and network are made up, and SCTP's
acknowledgements are counted as `memory_link` has them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from avcall.bench.memory_link import Path
from avcall.bench.provenance import provenance
from avcall.bench.virtual_call import End, Join, losses, two_way
from avcall.bench.virtual_face import PortraitCamera
from avcall.common.config import AUTO

DELAY_MS, JITTER_MS = 50.0, 20.0
SECOND_TICKS = 25
BEGINNING_S = 5.0
"""The queue is looked at for so long: later, rate control has settled."""


@dataclass(frozen=True)
class Case:
    """One kind of call; the network is the same both ways."""

    loss: float = 0.0
    span_ms: str = AUTO
    rate_kbps: float = 0.0
    """Of the bottleneck; 0 for none."""


CASES = (
    Case(0.0, "120"),
    Case(0.0, "200"),
    Case(0.1, "120"),
    Case(0.3, "120"),
    Case(0.1, "80"),
    Case(0.3, "80"),
    *(Case(rate_kbps=kbps) for kbps in (15.0, 20.0, 30.0, 50.0, 100.0, 1000.0)),
)


def measure_loss(
    join: Join,
    seeds: int,
    seconds: float,
    told: Callable[[str], None] = lambda line: None,
    cases: Sequence[Case] = CASES,
) -> dict[str, Any]:
    """The results of `avcall bench loss`, but for its "command"."""
    rows = []
    for case in cases:
        ends = [end for seed in range(seeds) for end in _call(join, case, seed, seconds)]
        early, all_of_them = (sum(missed) for missed in zip(*map(missed_ticks, ends), strict=True))
        row = {
            **asdict(case),
            **_together([figures(end, case) for end in ends]),
            "missed": all_of_them,
            "missed_first_s": early,
        }
        told(line(row))
        rows.append(row)
    return {
        **provenance(),
        "clips": ["none: virtual time"],
        "settings": {"delay_ms": DELAY_MS, "jitter_ms": JITTER_MS, "seeds": seeds, "seconds": seconds},
        "rows": rows,
    }


def _call(join: Join, case: Case, seed: int, seconds: float) -> tuple[End, End]:
    there, back = (_path(case, 2 * seed + way) for way in (0, 1))
    return two_way(join, there, back, seconds, camera=PortraitCamera, span_ms=case.span_ms)


def _path(case: Case, seed: int) -> Path:
    rng = random.Random(seed)
    jitter = [rng.uniform(0.0, JITTER_MS) for _ in range(1009)]
    return Path(DELAY_MS, losses(case.loss, seed), jitter, case.rate_kbps, acks=True)


def figures(end: End, case: Case) -> dict[str, float | None]:
    """What one end saw of the other, and what it sent."""
    seen, link = end.summary, end.link
    took_s = (link.queued[-1][0] - link.queued[0][0]) / 1000.0
    return {
        "ticks_filled": seen["ticks_filled"],
        "freeze_longest_ms": seen["freeze_longest_ms"],
        "latency_p50_ms": seen["latency_ms"]["p50"],
        "latency_p95_ms": seen["latency_ms"]["p95"],
        "wire_kbps": link.up_bytes * 8 / took_s / 1000.0,
        "first_face_ms": seen["time_to_first_face_ms"],
        "queue_ms": link.longest_queue_ms(BEGINNING_S) if case.rate_kbps else None,
    }


def missed_ticks(end: End) -> tuple[int, int]:
    """Display ticks without a new picture between the first and the last one: in the first second, and all of them."""
    filled = {values["tick"] for _, values in end.shown if values["filled"]}
    missed = set(range(min(filled, default=0), max(filled, default=0))) - filled
    return sum(tick - min(filled) < SECOND_TICKS for tick in missed), len(missed)


WORST: dict[str, Callable[[list[float]], float]] = {"ticks_filled": min}
"""Of the other figures, the largest is the worst."""


def _together(ends: list[dict[str, float | None]]) -> dict[str, Any]:
    """Mean and worst of each figure over the ends that have it, and how many ends ever showed a face."""
    row: dict[str, Any] = {"ends": len(ends), "faces": sum(end["first_face_ms"] is not None for end in ends)}
    for key in ends[0]:
        there = [value for end in ends if (value := end[key]) is not None]
        worst = WORST.get(key, max)
        row[key] = {"mean": round(float(np.mean(there)), 4), "worst": round(worst(there), 4)} if there else None
    return row


def line(row: dict[str, Any]) -> str:
    """A row for the terminal."""
    words = [f"{key} {of['mean']:.4g} ({of['worst']:.4g})" for key, of in row.items() if isinstance(of, dict)]
    link = f"{row['rate_kbps']:g} kbit/s" if row["rate_kbps"] else "no bottleneck"
    what = f"loss {row['loss']:.0%}, span {row['span_ms']}, {link}"
    return f"{what}: {', '.join(words)}, a face at {row['faces']} of {row['ends']} ends"
