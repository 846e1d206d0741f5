"""Learning curves come from a run's own log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avcall.bench.learning_curve import curve, learning_curves
from avcall.bench.training_tables import learning_table
from avcall.common.errors import InputError

RECORD = {
    "step": 100,
    "samples": 800,
    "elapsed_s": 90,
    "first_frame": {"lpips": 0.12, "lip_px": 1.3},
    "pivot_1s": {"lpips": 0.1, "lip_px": 1.2},
    "loss": {"pixels": 0.2},
}


def test_rows_are_the_logs_lines(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(json.dumps(RECORD) + "\n" + json.dumps(RECORD | {"step": 200}) + "\n")
    rows = curve(tmp_path)
    assert [row["steps"] for row in rows] == [100, 200]
    assert rows[0] == {
        "steps": 100,
        "pairs": 800,
        "minutes": 1.5,
        "first_frame": {"lpips": 0.12, "lip_px": 1.3},
        "pivot_1s": {"lpips": 0.1, "lip_px": 1.2},
    }
    results = learning_curves({"all": tmp_path})
    assert results["runs"] == [{"run": "all", "rows": rows}]
    assert str(tmp_path) not in json.dumps(results)


def test_what_is_no_log_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no log"):
        curve(tmp_path)
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(InputError, match="no log"):
        curve(tmp_path)


def test_the_table_has_a_row_an_evaluation(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(json.dumps(RECORD) + "\n")
    table = learning_table(learning_curves({"all": tmp_path}))
    assert "| all | 800 | 2 | 0.1200 | 1.30 | 0.1000 | 1.20 |" in table
