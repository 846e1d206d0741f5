"""`avcall bench`: every bench is in the command, says an example, and names the command line that made its results."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from avcall.cli import bench_command, main
from avcall.cli.benches.calls import CallsConfig
from avcall.cli.benches.checks import check_length
from avcall.cli.benches.detector import DetectorConfig
from avcall.cli.benches.output import command_line, write_results
from avcall.common.errors import ConfigError, OutputError

BENCHES = Path(__file__).parents[1] / "cli" / "benches"
SHARED = {"__init__", "checks", "output"}
NAMES = sorted(path.stem.replace("_", "-") for path in BENCHES.glob("*.py") if path.stem not in SHARED)


@pytest.mark.parametrize("name", NAMES)
def test_every_bench_is_listed_and_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"\n  {name}" in bench_command.DESCRIPTION
    with pytest.raises(SystemExit):
        main(["bench", name, "--help"])
    assert f"example:\n  avcall bench {name}" in capsys.readouterr().out


def test_the_flags_of_all_benches_load_nothing_heavy() -> None:
    program = "import sys, avcall.cli.bench_command as c; print({'torch', 'cv2', 'numpy', 'av'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_command_line_names_files_but_not_their_places(tmp_path: Path) -> None:
    config = CallsConfig(clips=tmp_path / "clips", seconds=30.0)
    assert command_line("calls", config) == "avcall bench calls --clips clips --seconds 30.0"
    assert command_line("calls", replace(config, seconds=8.0)) == "avcall bench calls --clips clips"
    twice = DetectorConfig(clips=tmp_path / "clips", weights=(tmp_path / "a", tmp_path / "b"))
    both_ways = replace(config, seconds=8.0, two_way=True)
    assert command_line("calls", both_ways) == "avcall bench calls --clips clips --two-way"
    assert command_line("detector", twice) == "avcall bench detector --clips clips --weights a --weights b"


def test_results_are_written_or_the_flag_is_named(tmp_path: Path) -> None:
    write_results(tmp_path / "found.json", {"command": "avcall bench loss"})
    assert json.loads((tmp_path / "found.json").read_text()) == {"command": "avcall bench loss"}
    with pytest.raises(OutputError, match="--json"):
        write_results(tmp_path / "missing" / "found.json", {})


def test_a_length_that_cannot_be_meant_is_refused() -> None:
    check_length(1.0, 0)
    for seconds, limit, least_s in ((0.9, 0, 1.0), (601.0, 0, 1.0), (5.0, -1, 1.0), (1.5, 0, 2.0)):
        with pytest.raises(ConfigError, match=f"from {least_s:g} to 600"):
            check_length(seconds, limit, least_s)
