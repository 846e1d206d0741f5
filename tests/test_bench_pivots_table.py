"""The table of `avcall bench pivots` in literal numbers."""

from __future__ import annotations

from avcall.bench.pivots_table import HEAD, rows


def test_gains_are_told_as_changes_against_each_other_rule() -> None:
    def measured(lpips: float) -> dict[str, float]:
        return {"lpips_alex": lpips, "lpips_alex_worst_s": 2 * lpips, "link_kbps": 1.5, "links": 2.04}

    found = {
        "rules": {"adaptive": measured(0.08), "fixed_interval": measured(0.1)},
        "adaptive_gains": {"fixed_interval": {"lpips_alex": 0.2, "lpips_alex_worst_s": -0.011}},
    }
    table = rows({"budgets": {"1.5": found}})
    assert table == [
        ("1.5", "selector", "0.0800", "0.1600", "1.50", "2.0", "", ""),
        ("1.5", "fixed interval", "0.1000", "0.2000", "1.50", "2.0", "-20.0 %", "+1.1 %"),
    ]
    assert len(table[0]) == len(HEAD)
