"""Plots as inline SVG."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from avcall.bench.svg_plot import bar_plot, line_plot


def elements(svg: str, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(tag))


def test_a_gap_breaks_the_line() -> None:
    svg = line_plot("delay", "ms", {"delay": [1.0, 2.0, None, 3.0, 4.0]})
    assert [len(line.attrib["points"].split()) for line in elements(svg, "polyline")] == [2, 2]
    assert len(elements(svg, "circle")) == 4


def test_higher_values_stand_higher() -> None:
    svg = line_plot("x", "", {"x": [0.0, 10.0]})
    low, high = (float(dot.attrib["cy"]) for dot in elements(svg, "circle"))
    assert high < low


def test_bars_stack_to_their_sum() -> None:
    bars = elements(bar_plot("x", "", {"a": [10.0], "b": [30.0]}), "rect")
    heights = [float(bar.attrib["height"]) for bar in bars if "rx" not in bar.attrib]
    assert heights[1] == pytest.approx(3 * heights[0], abs=0.2)


@pytest.mark.parametrize(
    "values", [[], [None, None], [0.0], [0.0, 0.0], [5.0, 5.0], [1e-9, 2e-9], [1e6, 3e6], [-3.0, 2.0]]
)
def test_any_values_can_be_drawn(values: list[float | None]) -> None:
    for svg in (line_plot("x", "ms", {"x": values}), line_plot("x", "ms", {"x": values}, floor=None)):
        assert "nan" not in svg
        for dot in elements(svg, "circle"):
            assert 30 <= float(dot.attrib["cy"]) <= 185
    assert "nan" not in bar_plot("x", "ms", {"x": [abs(value) if value else value for value in values]})


def test_names_are_escaped() -> None:
    svg = line_plot("<b>", "&", {"<i>": [1.0], "two": [2.0]})
    assert not re.search("<b>|<i>", svg)
