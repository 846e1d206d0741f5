"""Rate-quality plots as SVG: a logarithmic rate, one line a system.

Colours are of Okabe and Ito's palette, which colour-blind readers can tell apart; avcall's lines are thick and have
filled marks, the codecs' are thin and have open ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from avcall.bench.bandwidth_compare import curve
from avcall.bench.bandwidth_config import AVCALL

Points = Sequence[tuple[float, float]]
_OURS = ("#0072b2", "#d55e00", "#000000")
_CODECS = ("#56b4e9", "#e69f00", "#999999", "#8c6d1f", "#009e73", "#cc79a7", "#5b4b9a", "#b0b0b0")
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "", "6 3", "", "2 3")
_WIDTH, _HEIGHT = 480, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 40, 44
_LEGEND_WIDTH = 190
_TICKS = (1, 1.5, 2, 3, 4, 6, 8, 12, 18, 25, 35, 50, 70, 100, 150)


@dataclass(frozen=True, slots=True)
class Line:
    """One system's curve: (kbit/s, quality) by rising rate."""

    name: str
    points: Points
    colour: str
    ours: bool
    dash: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes."""

    title: str
    axis: str
    lines: Sequence[Line]


def bandwidth_svg(results: Mapping[str, Any]) -> str:
    """Likeness and lips against the rate of one results file, side by side, as a whole SVG file."""
    side = results["settings"]["size"]
    panels = [
        Panel(
            "Likeness: LPIPS ↓",
            "kbit/s of payload, best of all sizes and frame rates",
            lines(results, "best", "lpips_alex"),
        ),
        Panel(
            "Lips: distance in px ↓",
            "kbit/s of payload, 25 moving pictures a second",
            lines(results, "moving", "lip_lmd_px"),
        ),
    ]
    return svg(panels, f"avcall and video codecs at {side}x{side}, {len(results['clips'])} clips")


def lines(results: Mapping[str, Any], name: str, quality: str) -> list[Line]:
    """One line a system; avcall's last, so that they lie on top. A model of avcall always moves, so has one curve."""
    found, ours, codecs = [], 0, 0
    for system in results["systems"]:
        points = sorted(curve(system, name, quality))
        if str(system["system"]).startswith(AVCALL):
            found.append(Line(system["title"], points, _OURS[ours % len(_OURS)], ours=True))
            ours += 1
        else:
            number = codecs % len(_CODECS)
            found.append(Line(system["title"], points, _CODECS[number], False, _DASHES[number]))
            codecs += 1
    return sorted((line for line in found if line.points), key=lambda line: line.ours)


def svg(panels: Sequence[Panel], caption: str) -> str:
    """The panels beside each other, and one legend."""
    width = len(panels) * _WIDTH + _LEGEND_WIDTH
    drawn = [
        f'<g transform="translate({number * _WIDTH} 0)">{_panel(panel)}</g>' for number, panel in enumerate(panels)
    ]
    drawn.append(f'<g transform="translate({len(panels) * _WIDTH + 6} {_TOP})">{_legend(panels)}</g>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" width="{width}" height="{_HEIGHT}" '
        f'role="img" aria-label="{escape(caption)}" font-family="system-ui, sans-serif" font-size="12" fill="#222">'
        f'<rect width="{width}" height="{_HEIGHT}" fill="#fff"/>{"".join(drawn)}</svg>\n'
    )


def _panel(panel: Panel) -> str:
    every = [point for line in panel.lines for point in line.points]
    if not every:
        return ""
    least, most = min(rate for rate, _ in every) * 0.92, max(rate for rate, _ in every) * 1.08
    step = _step(max(value for _, value in every))
    top = step * math.ceil(max(value for _, value in every) / step)

    def x(rate: float) -> float:
        share = math.log(rate / least) / math.log(most / least)
        return _LEFT + share * (_WIDTH - _RIGHT - _LEFT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - value / top * (_HEIGHT - _BOTTOM - _TOP)

    parts = [f'<text x="{_LEFT}" y="22" font-weight="600" font-size="14">{escape(panel.title)}</text>']
    for index in range(round(top / step) + 1):
        at = y(index * step)
        parts.append(f'<path d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{index * step:g}</text>')
    for rate in _TICKS:
        if least <= rate <= most:
            parts.append(f'<path d="M{x(rate):.1f} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="#eee"/>')
            parts.append(f'<text x="{x(rate):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{rate:g}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(panel.axis)}</text>')
    parts += [_line(line, [(x(rate), y(value)) for rate, value in line.points]) for line in panel.lines]
    return "".join(parts)


def _line(line: Line, points: Points) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    width, radius, fill = (3.2, 4.2, line.colour) if line.ours else (1.6, 2.6, "#fff")
    marks = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" stroke="{line.colour}" stroke-width="1.5"/>'
        for x, y in points
    )
    return f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="{width}"{dash}/>{marks}'


def _legend(panels: Sequence[Panel]) -> str:
    named = {line.name: line for panel in panels for line in panel.lines}
    ordered = sorted(named.values(), key=lambda line: not line.ours)
    return "".join(
        f'<g transform="translate(0 {21 * row})">{_line(line, [(2, 8), (15, 8), (28, 8)])}'
        f'<text x="36" y="12" font-weight="{600 if line.ours else 400}">{escape(line.name)}</text></g>'
        for row, line in enumerate(ordered)
    )


def _step(most: float) -> float:
    """A round step that makes three to seven of the range."""
    raw = most / 5
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    return next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= raw * 0.999)
