"""The results of `avcall bench bandwidth` as Markdown: curves, comparison, goals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from avcall.bench.bandwidth_config import AVCALL

_MEASURES = (
    ("LPIPS ↓", "lpips_alex", 3),
    ("DISTS ↓", "dists", 3),
    ("PSNR dB", "psnr", 1),
    ("SSIM", "ssim", 3),
    ("lips px ↓", "lip_lmd_px", 2),
    ("mouth corr. ↑", "mouth_correlation", 2),
    ("mouth lag ms", "mouth_lag_ms", 0),
    ("tLP ↓", "tlp", 4),
    ("tOF px ↓", "tof_px", 2),
    ("flicker x", "flicker_ratio", 2),
    ("worst second ↓", "lpips_alex_worst_s", 3),
)
_BRIEF = ("lpips_alex", "dists", "lip_lmd_px", "mouth_correlation", "tlp", "tof_px")
_GOALS = {
    "lpips": "LPIPS no worse than the best low-delay codec's",
    "lip_lmd": "lips no farther off than that codec's, px",
    "mouth_correlation": "mouth opening correlates no less than that codec's",
    "tlp": "tLP 40 % below the steadiest slide show",
    "tof": "tOF 40 % below the steadiest slide show",
}


def markdown(results: Mapping[str, Any]) -> str:
    """Every point of every curve, and what follows from them."""
    whole = [
        f"**{title}**\n\n{_points(results, curve)}"
        for curve, title in (
            ("best", "The best of all sizes and frame rates, by LPIPS"),
            ("moving", "25 moving pictures a second"),
        )
    ]
    return "\n\n".join([*whole, comparison(results), goals(results)])


def brief(results: Mapping[str, Any]) -> str:
    """For the README: avcall at most at 6 kbit/s, and each codec at 6 (any setting) and at 12 and 18, moving."""
    rows = []
    for system in results["systems"]:
        points = system["curves"]["moving"]
        if _is_ours(system):
            within = [point for point in points if point["payload_kbps"] <= 6.0]
            rows += [_row(system, point, _BRIEF) for point in within[-1:]]
            continue
        best = [point for point in system["curves"]["best"] if point["target_kbps"] == 6.0]
        higher = [point for point in points if point["target_kbps"] in (12.0, 18.0)]
        rows += [_row(system, point, _BRIEF) for point in [*best, *higher]]
    rows.sort(key=lambda row: not row[0].startswith(AVCALL))
    return _table(_head(_BRIEF), rows)


def comparison(results: Mapping[str, Any]) -> str:
    """avcall's rate against each codec's at the same quality."""
    rows = []
    for ours, compared in results["metrics"].items():
        for codec, against in compared["against"].items():
            for curve in ("best", "moving"):
                cells = [_delta(against[f"{curve}_{quality}"]) for quality in ("lpips_alex", "dists")]
                equal = _equal(against[f"{curve}_lpips_alex"]["equal_quality"])
                rows.append((f"{ours} against {codec}", _CURVES[curve], *cells, equal))
    head = (
        "",
        "the codec's settings",
        "BD-rate, LPIPS",
        "BD-rate, DISTS",
        "at avcall's LPIPS at 6 kbit/s the codec takes",
    )
    return _table(head, rows)


def goals(results: Mapping[str, Any]) -> str:
    """Each goal with both figures."""
    rows = []
    for ours, compared in results["metrics"].items():
        for name, goal in compared["goals"].items():
            if name not in _GOALS:
                continue
            held = goal["held_against"]
            other = f"{held['system']} at {held['kbps']:.1f} kbit/s: {held['value']:.4g}"
            at = f"{ours} at {compared['goals']['avcall_kbps']:.1f} kbit/s"
            rows.append((_GOALS[name], f"{at}: {goal['avcall']:.4g}", other, "yes" if goal["met"] else "no"))
    return _table(("goal", "avcall", "held against", "met"), rows)


_CURVES = {"best": "best of all", "moving": "25 fps"}


def _points(results: Mapping[str, Any], curve: str) -> str:
    keys = tuple(key for _, key, _ in _MEASURES)
    rows = [_row(system, point, keys) for system in results["systems"] for point in system["curves"][curve]]
    return _table(_head(keys), rows)


def _head(keys: Sequence[str]) -> tuple[str, ...]:
    titles = [title for title, key, _ in _MEASURES if key in keys]
    return ("system: most used setting", "kbit/s", "on the wire", *titles)


def _row(system: Mapping[str, Any], point: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, ...]:
    setting = next(iter(point["settings"]))
    floor = "" if point["fits"] == 1 else f" ({point['fits']:.0%} of clips fit {point['target_kbps']:g})"
    values = [_number(point["metrics"].get(key), digits) for _, key, digits in _MEASURES if key in keys]
    rates = f"{point['payload_kbps']:.1f}", f"{point['wire_kbps']:.1f}"
    return (f"{system['title']}: {setting}{floor}", *rates, *values)


def _delta(cell: Mapping[str, Any]) -> str:
    value = cell["bd_rate_percent"]
    return "no overlap" if value is None else f"{value:+.0f} %"


def _equal(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "not measured"
    if cell["codec_kbps"] is None:
        low, high = cell["codec_range_kbps"]
        return f"{cell['outside']} ({low:g} to {high:g} kbit/s)"
    return f"{cell['codec_kbps']:.1f} kbit/s, avcall {cell['avcall_kbps']:.1f}"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _is_ours(system: Mapping[str, Any]) -> bool:
    return str(system["system"]).startswith(AVCALL)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])
