"""No figure in README or docs is typed: all of them are what results/*.json say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avcall.bench import figures
from avcall.bench.evaluate_table import markdown

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("page", figures.pages(ROOT), ids=lambda page: page.name)
def test_pages_show_what_the_results_say(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert figures.rewritten(text, ROOT / "results") == text, "run: python -m avcall.bench.figures"


def test_the_evaluation_s_table_is_that_of_its_results() -> None:
    results = json.loads((ROOT / "results" / "evaluation.json").read_text(encoding="utf-8"))
    assert (ROOT / "results" / "evaluation.md").read_text(encoding="utf-8") == markdown(results)


def test_the_readme_shows_the_cost_of_a_call() -> None:
    assert "<!-- figures calls -->" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", sorted((ROOT / "results").glob("*.json")), ids=lambda file: file.name)
def test_results_say_where_they_come_from(file: Path) -> None:
    results = json.loads(file.read_text(encoding="utf-8"))
    for key in ("version", "commit", "command", "machine", "clips"):
        assert results[key], f"{file.name} has no {key}"
    assert "train" not in results["command"].replace("avcall train", "")


def test_a_block_is_replaced_whole(tmp_path: Path) -> None:
    row = {"coder": "av1", "budget_bytes": 1000, "psnr_db": 30.0, "ssim": 0.9, "lpips_alex": 0.1, "encode_ms": 9}
    head = {"version": "1", "commit": "c", "command": "x", "machine": {"cpu": "m", "cores": 2}, "clips": ["a", "b"]}
    (tmp_path / "pivot_intra.json").write_text(json.dumps({**head, "rows": [row]}))
    page = "a\n<!-- figures pivot_intra -->\nold\n<!-- end figures -->\nz"
    made = figures.rewritten(page, tmp_path)
    assert "old" not in made
    assert "| av1 | 1000 | 30.0 | 0.900 | 0.100 | 9 |" in made
    assert "2 clips" in made
    assert figures.rewritten(made, tmp_path) == made


def test_the_table_of_two_way_calls_says_what_one_end_sends_and_receives() -> None:
    results = json.loads((ROOT / "results" / "calls_thesis.json").read_text(encoding="utf-8"))
    steady = {"steady_wire_kbps": {"up": 19.25, "down": 18.0}}
    two_way = {**results, "two_way": True, "metrics": {**results["metrics"], **steady}}
    assert "| the same without the first three seconds | 19.2 and 18.0 kbit/s |" in figures.calls_table(two_way)
    drawn = two_way | {"metrics": two_way["metrics"] | {"drawn": {"warp": 0.256, "lite": 0.744}}}
    assert "| pictures drawn by | 26 % warp, 74 % lite |" in figures.calls_table(drawn)
    carried = drawn | {"metrics": drawn["metrics"] | {"pictures_a_look": 2.34}}
    assert "served, while carried | 2.3 |" in figures.calls_table(carried)
    alone = two_way | {"metrics": two_way["metrics"] | {"keypoints_alone_kbps": 1.2}}
    assert "the ten points alone, the rest | 1.2, 15.9 kbit/s |" in figures.calls_table(alone)
    assert "acknowledgements" in figures.calls_table(results)
    assert "acknowledgements" not in figures.calls_table(two_way)
