"""The plots in docs/images are what the results say."""

from __future__ import annotations

from pathlib import Path

import pytest

from avcall.bench import figures

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", figures.PLOTS)
def test_plots_show_what_the_results_say(name: str) -> None:
    drawn = figures.plots(ROOT / "results")
    if name not in drawn:
        pytest.skip(f"results/{figures.PLOTS[name][0]} is not there")
    path = ROOT / "docs" / "images" / name
    assert path.read_text(encoding="utf-8") == drawn[name], "run: python -m avcall.bench.figures"
