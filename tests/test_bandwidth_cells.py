"""Cells, their files, and what becomes of them, with a system and a judge that need no coder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avcall.bench.bandwidth_cells import CellStore, Measured, cell_key
from avcall.bench.bandwidth_compare import compare
from avcall.bench.bandwidth_config import BandwidthConfig, checked
from avcall.bench.bandwidth_plot import bandwidth_svg
from avcall.bench.bandwidth_results import Shelf, summarise
from avcall.bench.bandwidth_systems import Candidate, Setting, System
from avcall.bench.bandwidth_table import brief, markdown
from avcall.common.errors import ConfigError, InputError

FULL, SLOW, FLOOR = Setting(256, 25.0), Setting(256, 2.0), Setting(128, 25.0)
LEAST = {FULL: 1000, SLOW: 100, FLOOR: 2000}


class FakeRunner:
    """FULL needs at least 1,000 bytes and FLOOR 2,000; what is shown is the name of the setting."""

    def __init__(self) -> None:
        self.played: list[Setting] = []

    def fit(self, setting: Setting, budget_bytes: int) -> Candidate:
        size = max(LEAST[setting], budget_bytes // 2)
        return Candidate(setting, budget_bytes, {"video": size}, size + 500, size <= budget_bytes)

    def shown(self, candidate: Candidate) -> list[Any]:
        self.played.append(candidate.setting)
        return [candidate.setting]

    def glimpse(self, candidate: Candidate, ticks: list[int]) -> list[Any]:
        return [candidate.setting]


class FakeClip:
    """Two seconds; SLOW looks best at a glance."""

    seconds, glimpses = 2.0, (1,)

    def glance(self, pictures: list[Any]) -> float:
        return {FULL: 0.2, SLOW: 0.1, FLOOR: 0.3}[pictures[0]]

    def judge(self, shown: list[Any]) -> dict[str, float | None]:
        return {"lpips_alex": self.glance(shown), "dists": 0.1, "tlp": 0.01, "tof_px": 0.3, "lip_lmd_px": 1.0}


def measured() -> tuple[Measured, FakeRunner]:
    runner = FakeRunner()
    return Measured(runner, FakeClip()), runner  # type: ignore[arg-type]


def test_the_best_by_a_glance_and_the_best_that_moves_are_judged() -> None:
    bench, runner = measured()
    cell = bench.cell([FULL, SLOW], 8.0)
    assert cell["best"]["label"] == "256 px, 2 fps"
    assert cell["moving"]["label"] == "256 px, 25 fps"
    assert runner.played == [SLOW, FULL]


def test_rates_are_measured_ones_in_kbit_a_second() -> None:
    row = measured()[0].cell([SLOW], 8.0)["best"]
    assert row["payload_kbps"] == 4.0  # 1,000 of the 2,000 bytes that 8 kbit/s are in two seconds
    assert row["wire_kbps"] == 6.0
    assert row["payload"] == {"video": 4.0}


def test_where_nothing_fits_the_least_stands_and_says_so() -> None:
    cell = measured()[0].cell([FLOOR, FULL], 2.0)
    assert cell["best"]["label"] == "256 px, 25 fps"
    assert cell["best"]["fits"] is False
    assert measured()[0].cell([SLOW], 2.0)["moving"] is None


def test_a_setting_that_fits_beats_a_floor_whatever_it_looks_like() -> None:
    assert measured()[0].cell([FLOOR, SLOW], 2.0)["best"]["label"] == "256 px, 2 fps"


def test_a_stream_is_judged_once() -> None:
    bench, runner = measured()
    bench.cell([FULL], 8.0)
    bench.cell([FULL], 8.0)
    assert runner.played == [FULL]


def test_a_cell_is_kept_under_its_key_only(tmp_path: Path) -> None:
    store = CellStore(tmp_path / "cells")
    cell = {"key": cell_key("a", 1), "clip": "c", "system": "x264", "target_kbps": 6.0}
    store.save(cell)
    assert store.load("c", "x264", 6.0, cell_key("a", 1)) == cell
    assert store.load("c", "x264", 6.0, cell_key("a", 2)) is None
    assert store.load("c", "x264", 12.0, cell_key("a", 1)) is None


def test_a_damaged_cell_counts_as_missing(tmp_path: Path) -> None:
    store = CellStore(tmp_path)
    (tmp_path / "c__x264__6.json").write_text('{"key": "k"')
    assert store.load("c", "x264", 6.0, "k") is None


def shelf(tmp_path: Path) -> Shelf:
    systems = [
        System("x264", "H.264", {"options": []}, lambda clip: FakeRunner()),
        System("avcall-classical", "avcall, classical", {"weights": "w"}, lambda clip: FakeRunner()),
    ]
    made = Shelf(BandwidthConfig(out=tmp_path, size=256), systems)
    for clip in ("a", "b"):
        for system in systems:
            for target in (3.0, 6.0, 12.0, 18.0):
                cell = measured()[0].cell([FULL], target)
                better = 0.5 if system.name != "x264" else 1.0
                for curve in ("best", "moving"):
                    cell[curve]["metrics"]["lpips_alex"] = better * 2.0 / target
                head = {"clip": clip, "system": system.name, "frames": 50, "clip_sha256": "s"}
                made.add({**head, **cell})
    return made


def test_only_clips_that_every_system_has_whole_count(tmp_path: Path) -> None:
    made = shelf(tmp_path)
    assert made.clips == ["a", "b"]
    made.cells["x264"]["b"].popitem()
    assert made.clips == ["a"]
    made.cells["avcall-classical"].clear()
    assert [system.name for system in made.present] == ["x264"]


def test_a_floor_is_one_point_and_not_several(tmp_path: Path) -> None:
    made = shelf(tmp_path)
    points = made.points(made.systems[0], "moving")
    assert [(point["target_kbps"], point["payload_kbps"], point["fits"]) for point in points] == [
        (3.0, 4.0, 0.0),
        (6.0, 4.0, 1.0),
        (12.0, 6.0, 1.0),
        (18.0, 9.0, 1.0),
    ]


def test_results_compare_avcall_with_each_codec(tmp_path: Path) -> None:
    results = summarise(shelf(tmp_path))
    against = results["metrics"]["avcall-classical"]["against"]["x264"]["moving_lpips_alex"]
    assert against["bd_rate_percent"] < -30
    goals = results["metrics"]["avcall-classical"]["goals"]
    assert goals["avcall_kbps"] == 6.0
    assert goals["lpips"]["avcall"] == pytest.approx(1.0 / 12.0, abs=1e-4)
    assert goals["lpips"]["held_against"] == {"system": "x264", "kbps": 9.0, "value": pytest.approx(2 / 18, abs=1e-4)}
    assert goals["lpips"]["met"] is True
    assert results["settings"]["size"] == 256


def test_the_tables_and_the_plot_show_every_system(tmp_path: Path) -> None:
    results = summarise(shelf(tmp_path))
    for text in (markdown(results), bandwidth_svg(results)):
        assert "avcall, classical" in text
        assert "H.264" in text
    assert brief(results).splitlines()[2].startswith("| avcall, classical: 256 px, 25 fps | 6.0 |")


def test_curves_that_do_not_overlap_say_on_which_side() -> None:
    def system(name: str, points: list[tuple[float, float]]) -> dict[str, Any]:
        curve = [
            {"target_kbps": rate, "payload_kbps": rate, "wire_kbps": rate, "settings": {"256 px, 25 fps": 1}}
            | {"metrics": {"lpips_alex": quality}}
            for rate, quality in points
        ]
        return {"system": name, "low_delay": True, "curves": {"best": curve, "moving": curve}}

    ours, codec = system("avcall-lite", [(3.0, 0.1), (6.0, 0.05)]), system("x264", [(6.0, 0.4), (25.0, 0.2)])
    against = compare([ours, codec], 256)["avcall-lite"]["against"]["x264"]["best_lpips_alex"]
    assert against["bd_rate_percent"] is None
    assert against["equal_quality"]["codec_kbps"] is None
    assert against["equal_quality"]["outside"] == "better than the codec's highest rate"


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"size": 300}, "--size 300"),
        ({"stride": 5}, "--stride 5"),
        ({"codecs": ("x264,theora",)}, "theora"),
        ({"budgets": ("6,six",)}, "six"),
        ({"budgets": ("0",)}, "--budgets"),
        ({"seconds": 1.0}, "--seconds"),
        ({"conditions": "jvet-gfv"}, "--clips"),
    ],
)
def test_flags_that_make_no_sense_are_named(tmp_path: Path, flags: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        checked(BandwidthConfig(out=tmp_path / "out", **flags))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        checked(BandwidthConfig(out=tmp_path, clips=tmp_path / "nowhere"))


def test_the_command_names_no_place_of_a_machine(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    config = BandwidthConfig(out=tmp_path / "out", clips=tmp_path / "test", seconds=8.0, codecs=("x264", "aom"))
    assert config.command() == "avcall bench bandwidth --clips test --out out --codecs x264,aom --seconds 8.0"


def test_jvet_conditions_take_whole_sequences_at_256(tmp_path: Path) -> None:
    config = checked(BandwidthConfig(out=tmp_path / "out", clips=tmp_path, conditions="jvet-gfv", size=512))
    assert (config.size, config.seconds) == (256, 0.0)
