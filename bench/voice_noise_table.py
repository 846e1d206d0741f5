"""The tables of noise and voice in docs/voice.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

HEAD = (
    "speech coder, kbit/s",
    "noise",
    "below the speech by dB",
    "while listening, kbit/s",
    "PESQ ↑",
    "ESTOI ↑",
    "level of the speech that is left, dB",
    "worst clip",
)
RECORDED_HEAD = (
    "clip",
    "its background, dB",
    "level that RNNoise leaves, dB",
    "WebRTC",
    "kbit/s as it is",
    "RNNoise",
    "WebRTC",
)
COST_HEAD = ("", "delays the voice by ms", "ms of one core for a second of sound")
STEADY = ("white", "pink", "hum", "fan")
BABBLE = "babble"
SYSTEMS = ("none", "rnnoise", "rnnoise, at most 12 dB", "webrtc")
SUPPRESSORS = ("rnnoise", "webrtc")
NOISY_DB = -20.0


def rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Where a cell has four figures they are those of SYSTEMS, where it has three, of all but the first; steady noises
    are averaged."""
    found: list[tuple[str, ...]] = []
    for kbps in sorted({row["kbps"] for row in results["rows"]}, reverse=True):
        of = [row for row in results["rows"] if row["kbps"] == kbps]
        groups = {
            "none": [row for row in of if row["snr_db"] is None],
            "steady": [row for row in of if row["noise"] in STEADY],
            BABBLE: [row for row in of if row["noise"] == BABBLE],
        }
        for name, group in groups.items():
            for ratio in sorted({row["snr_db"] for row in group}, key=lambda ratio: -(ratio or 0)):
                same = [row for row in group if row["snr_db"] == ratio]
                found.append((f"{kbps:g}", name, "" if ratio is None else f"{ratio}", *_cells(same)))
    return found


def _cells(same: list[Mapping[str, Any]]) -> tuple[str, ...]:
    by_system = {system: [row["metrics"] for row in same if row["system"] == system] for system in SYSTEMS}

    def means(key: str, digits: int, systems: Iterable[str] = SYSTEMS) -> str:
        return ", ".join(_rounded(fmean(of[key] for of in by_system[system]), digits) for system in systems)

    worst = ", ".join(_rounded(min(of["level_lowest_db"] for of in by_system[system])) for system in SYSTEMS[1:])
    return means("listen_kbps", 1), means("pesq", 2), means("estoi", 3), means("level_db", 0, SYSTEMS[1:]), worst


def _rounded(figure: float, digits: int = 0) -> str:
    """Without a minus before zero."""
    return f"{round(figure, digits) + 0.0:.{digits}f}"


def recorded_rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Clips with a background of their own one by one, and the mean of the others."""
    loud = [row for row in results["recorded"] if row["background_db"] > NOISY_DB]
    others = [row for row in results["recorded"] if row["background_db"] <= NOISY_DB]
    return [_recorded(row["clip"], [row]) for row in loud] + [_recorded(f"mean of the {len(others)} others", others)]


def _recorded(name: str, of: list[Mapping[str, Any]]) -> tuple[str, ...]:
    levels = (f"{fmean(row['level_db'][system] for row in of):.1f}" for system in SUPPRESSORS)
    kbps = (f"{fmean(row['kbps'][system] for row in of):.1f}" for system in ("none", *SUPPRESSORS))
    return name, f"{fmean(row['background_db'] for row in of):.0f}", *levels, *kbps


def cost_rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What each takes."""
    return [(name, f"{of['delay_ms']:.0f}", f"{of['cpu_ms']:.1f}") for name, of in results["cost"].items()]
