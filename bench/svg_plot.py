"""Small line and stacked-bar plots as inline SVG, so that a report needs no plotting library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#2563eb", "#f59e0b", "#10b981", "#8b5cf6", "#ef4444")
_WIDTH, _HEIGHT = 460, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 34, 30
Values = Sequence[float | None]


def line_plot(title: str, unit: str, series: Mapping[str, Values], *, floor: float | None = 0.0) -> str:
    """Lines over the seconds 0, 1, 2, ...; None leaves a gap. `floor` is the least that the axis begins with, None lets
    it follow the data."""
    known = [value for values in series.values() for value in values if value is not None]
    least = min(known, default=0.0)
    low, high, step = _axis(least if floor is None else min(floor, least), max(known, default=1.0))
    count = max((len(values) for values in series.values()), default=1)
    x, y = _x_scale(max(1, count - 1)), _y_scale(low, high)
    drawn = [
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>'
        for colour, values in zip(COLOURS, series.values(), strict=False)
        for points in _runs(values, x, y)
    ]
    dots = [
        f'<circle cx="{x(i):.1f}" cy="{y(value):.1f}" r="2.4" fill="{colour}"/>'
        for colour, values in zip(COLOURS, series.values(), strict=False)
        for i, value in enumerate(values)
        if value is not None
    ]
    return _framed(title, unit, list(series), low, high, step, max(1, count - 1), [*drawn, *dots])


def bar_plot(title: str, unit: str, series: Mapping[str, Values]) -> str:
    """One stacked bar a second."""
    count = max(1, *(len(values) for values in series.values()))
    sums = [sum(values[i] or 0.0 for values in series.values() if i < len(values)) for i in range(count)]
    low, high, step = _axis(0.0, max(sums, default=1.0))
    x, y = _x_scale(count), _y_scale(low, high)
    width = 0.72 * (x(1) - x(0))
    drawn = []
    for second in range(count):
        base = 0.0
        for colour, values in zip(COLOURS, series.values(), strict=False):
            value = (values[second] if second < len(values) else None) or 0.0
            top, bottom = y(base + value), y(base)
            drawn.append(
                f'<rect x="{x(second + 0.14):.1f}" y="{top:.1f}" width="{width:.1f}" height="{bottom - top:.1f}" '
                f'fill="{colour}"/>'
            )
            base += value
    return _framed(title, unit, list(series), low, high, step, count, drawn)


def _runs(values: Values, x: _Scale, y: _Scale) -> list[str]:
    """The points of each unbroken run of values."""
    runs: list[list[str]] = [[]]
    for i, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(f"{x(i):.1f},{y(value):.1f}")
    return [" ".join(run) for run in runs if len(run) > 1]


class _Scale:
    """Values to pixels."""

    def __init__(self, low: float, high: float, at_low: float, at_high: float) -> None:
        self._low, self._at_low = low, at_low
        self._factor = (at_high - at_low) / (high - low)

    def __call__(self, value: float) -> float:
        return self._at_low + (value - self._low) * self._factor


def _x_scale(high: float) -> _Scale:
    return _Scale(0.0, high, _LEFT, _WIDTH - _RIGHT)


def _y_scale(low: float, high: float) -> _Scale:
    return _Scale(low, high, _HEIGHT - _BOTTOM, _TOP)


def _axis(low: float, high: float) -> tuple[float, float, float]:
    """Round ends and a round step that hold the values in three to six steps."""
    span = max(high - low, 1e-6 * max(1.0, abs(high)), 1e-9)
    raw = span / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= raw * 0.999)
    bottom = math.floor(low / step + 1e-9) * step
    return bottom, max(math.ceil(high / step - 1e-9) * step, bottom + step), step


def _framed(
    title: str, unit: str, names: list[str], low: float, high: float, step: float, seconds: int, drawn: list[str]
) -> str:
    y, x = _y_scale(low, high), _x_scale(seconds)
    lines = []
    for i in range(round((high - low) / step) + 1):
        value = low + i * step
        lines.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" class="grid"/>'
            f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    every = max(1, round(seconds / 8))
    lines += [
        f'<text x="{x(second):.1f}" y="{_HEIGHT - 10}" text-anchor="middle">{second}'
        f"{' s' if second + every > seconds else ''}</text>"
        for second in range(0, seconds + 1, every)
    ]
    legend, at = [], float(_WIDTH - _RIGHT)
    for colour, name in reversed(list(zip(COLOURS, names, strict=False))):
        at -= 6.2 * len(name) + 22
        if len(names) > 1:
            legend.append(
                f'<rect x="{at:.0f}" y="9" width="10" height="10" rx="2" fill="{colour}"/>'
                f'<text x="{at + 14:.0f}" y="18">{escape(name)}</text>'
            )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<text x="0" y="18"><tspan class="title">{escape(title)}</tspan> {escape(unit)}</text>'
        f"{''.join(lines)}{''.join(legend)}{''.join(drawn)}</svg>"
    )
