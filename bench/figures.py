"""Writes the tables of README and docs from results/*.json. A page marks where a table goes:

    <!-- figures NAME -->  ...  <!-- end figures -->

`python -m avcall.bench.figures` rewrites what stands between; a test compares, so nothing there is ever typed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from avcall.bench import bandwidth_table as bandwidth_tables
from avcall.bench import calls_table as calls_tables
from avcall.bench import (
    echo_table,
    evaluate_table,
    goals_table,
    interpolation_table,
    loss_table,
    pivot_chain_table,
    pivots_table,
    rate_control_table,
    super_resolution_table,
    voice_noise_table,
)
from avcall.bench.bandwidth_plot import bandwidth_svg
from avcall.bench.stage_tables import ablation_table, enhancement_table
from avcall.bench.training_tables import detector_table, learning_table

_BLOCK = re.compile(r"(<!-- figures (\w+) -->\n).*?(<!-- end figures -->)", re.DOTALL)


def calls_table(results: Mapping[str, Any]) -> str:
    """What real calls cost and how they ran, from `avcall bench calls`."""
    what = f"calls of {results['seconds']:g} s"
    return _table(("a call", "mean"), calls_tables.rows(results)) + "\n\n" + _source(results, what)


def speed_table(results: Mapping[str, Any]) -> str:
    """Frames a second of each end on one core, from `avcall bench speed`."""
    ends = results["metrics"]
    rows = [(end, f"{ends[end]['fps']:.0f}", f"{ends[end]['fps_elapsed']:.0f}") for end in ("sender", "receiver")]
    head = ("on one core, at 256x256", "frames a second of CPU time", "frames a second elapsed")
    return _table(head, rows) + "\n\n" + _source(results, f"model {results['model']}")


def intra_table(results: Mapping[str, Any]) -> str:
    """Coders for pivots, from `avcall bench pivot-intra`."""
    rows = [
        (
            row["coder"],
            f"{row['budget_bytes']}",
            f"{row['psnr_db']:.1f}",
            f"{row['ssim']:.3f}",
            f"{row['lpips_alex']:.3f}",
            f"{row['encode_ms']:.0f}",
        )
        for row in results["rows"]
    ]
    head = ("coder", "at most bytes", "PSNR dB", "SSIM", "LPIPS", "encode ms")
    return _table(head, rows) + "\n\n" + _source(results, "256x256")


def chain_table(results: Mapping[str, Any]) -> str:
    """How links are coded, from `avcall bench pivot-chain`."""
    return _table(*pivot_chain_table.table(results)) + "\n\n" + _source(results, "256x256, a picture a second")


def link_table(results: Mapping[str, Any]) -> str:
    """aiortc's SCTP as it is and tuned, under loss, from `scripts/lossy_link.py --matrix`."""
    rows = [
        (
            f"{row['loss']:.0%}, {row['system']}",
            f"{row['delivered']:.1%}",
            f"{row['freeze_longest_ms']:.0f}",
            f"{row['up_kbps']:.1f}",
            f"{row['back_kbps']:.1f}",
            f"{row['control_slowest_ms']:.0f}",
        )
        for row in results["rows"]
    ]
    head = ("loss each way", "delivered", "longest freeze ms", "up kbit/s", "back kbit/s", "slowest control message ms")
    return _table(head, rows) + "\n\n" + _made(results, f"{results['seconds']:g} s each, all at once")


BRIEF = (
    ("LPIPS ↓", "lpips_alex", 3),
    ("PSNR dB ↑", "psnr", 1),
    ("landmarks px ↓", "lmd_px", 2),
    ("lips px ↓", "lip_lmd_px", 2),
    ("mouth opening, correlation ↑", "mouth_correlation", 2),
    ("blinks shown ↑", "blink_recall", 2),
)


def brief_table(results: Mapping[str, Any]) -> str:
    """The few columns of the evaluation that a reader of the README wants."""
    titles = {"first_frame": "first frame only", "pivot_1s": "a coded pivot every second"}
    shown = [entry for entry in results["systems"] if entry["protocol"] in titles]
    rows = [
        (
            f"{titles[entry['protocol']]}: {entry['system'].replace('_', ' ')}",
            *(f"{entry['metrics'][key]:.{digits}f}" for _, key, digits in BRIEF),
        )
        for entry in shown
    ]
    what = f"{len(results['clips'])} clips, the first {results['settings']['seconds']:g} s of each at 256x256"
    table = _table(("pivots: system", *(title for title, _, _ in BRIEF)), rows)
    return f"{table}\n\n{_made(results, what, evaluate_table.commits(results, shown))}"


def bandwidth_table(results: Mapping[str, Any]) -> str:
    """avcall beside the codecs at 6, 12 and 18 kbit/s, from `avcall bench bandwidth`."""
    return f"{bandwidth_tables.brief(results)}\n\n{_bandwidth_source(results)}"


def bandwidth_goals(results: Mapping[str, Any]) -> str:
    """What the benchmark asks of avcall, and what came of it."""
    return f"{bandwidth_tables.goals(results)}\n\n{_bandwidth_source(results)}"


def bandwidth_comparison(results: Mapping[str, Any]) -> str:
    """Delta rates against each codec."""
    return f"{bandwidth_tables.comparison(results)}\n\n{_bandwidth_source(results)}"


def _bandwidth_source(results: Mapping[str, Any]) -> str:
    settings = results["settings"]
    return _source(results, f"the first {settings['seconds']:g} s of each at {settings['size']}x{settings['size']}")


def enlarging_table(results: Mapping[str, Any]) -> str:
    """Ways to show a picture of 256 pixels at 512, from `avcall bench super-resolution`."""
    kbps = results["pivot_kbps"]
    rate = f"pivots {kbps['pivot_512']:.1f} kbit/s at 512, {kbps['pivot_256']:.1f} at 256"
    seconds = f"the first {results['settings']['seconds']:g} s of each"
    return f"{super_resolution_table.table(results)}\n\n{_source(results, f'{seconds}, {rate}')}"


def repaired_table(results: Mapping[str, Any]) -> str:
    """What face enhancement makes of driven pictures, from `avcall bench enhancement`."""
    seconds = f"the first {results['settings']['seconds']:g} s of each at 256x256"
    return f"{enhancement_table(results)}\n\n{_source(results, seconds)}"


def stages_table(results: Mapping[str, Any]) -> str:
    """The receiver's chain with each stage off in turn, from `avcall bench ablation`."""
    settings = results["settings"]
    ran = ", ".join(f"{stage}: {name}" for stage, name in settings["stages"].items())
    what = f"the first {settings['seconds']:g} s of each ({len(results['large_clips'])} clips at 512), {ran}"
    return f"{ablation_table(results)}\n\n{_source(results, what)}"


def _interpolation(table: Callable[[Mapping[str, Any]], str]) -> Callable[[Mapping[str, Any]], str]:
    """One of the tables of `avcall bench interpolation`, with its source."""

    def page(results: Mapping[str, Any]) -> str:
        made = f"model {results['model']}, the first {results['settings']['seconds']:g} s of each"
        return f"{table(results)}\n\n{_source(results, made)}"

    return page


def rate_control_cases(results: Mapping[str, Any]) -> str:
    """Rate control in simulated time, from `avcall bench rate-control`."""
    what = f"delay {results['settings']['delay_ms']:g} ms and jitter {results['settings']['jitter_ms']:g} ms each way"
    return _table(rate_control_table.HEAD, rate_control_table.rows(results)) + "\n\n" + _made(results, what)


def lossy_calls(results: Mapping[str, Any]) -> str:
    """Whole calls on virtual time, from `avcall bench loss`."""
    settings = results["settings"]
    what = (
        f"mean and worst of the ends of {settings['seeds']} calls of {settings['seconds']:g} s each, "
        f"delay {settings['delay_ms']:g} ms and jitter up to {settings['jitter_ms']:g} ms each way"
    )
    table = _table(loss_table.HEAD, loss_table.rows(results))
    return f"{table}\n\n{loss_table.missed(results)}\n\n{_made(results, what)}"


def thin_link_calls(results: Mapping[str, Any]) -> str:
    """Real calls through thin links, from `scripts/thin_link.py`."""
    rows = rate_control_table.call_rows(results)
    return (
        _table(rate_control_table.CALLS_HEAD, rows) + "\n\n" + _source(results, rate_control_table.calls_each(results))
    )


def voice_in_noise(results: Mapping[str, Any]) -> str:
    """Noise suppressors in front of the speech coder, from `python -m avcall.bench.voice_noise`."""
    what = f"the first {results['settings']['speech_s']:g} s of each"
    return _table(voice_noise_table.HEAD, voice_noise_table.rows(results)) + "\n\n" + _source(results, what)


def voice_as_recorded(results: Mapping[str, Any]) -> str:
    """What suppressors leave of clips with their own backgrounds."""
    settings = results["settings"]
    what = f"the first {settings['recorded_s']:g} s of each clip as it is, {settings['kbps'][-1]:g} kbit/s"
    table = _table(voice_noise_table.RECORDED_HEAD, voice_noise_table.recorded_rows(results))
    return table + "\n\n" + _made(results, what)


def echo(results: Mapping[str, Any]) -> str:
    """The echo canceller, from `python -m avcall.bench.echo`."""
    settings = results["settings"]
    cpu_ms = fmean(row["metrics"]["cpu_ms"] for row in results["rows"] if row["system"] != echo_table.OPEN)
    what = (
        f"{len(results['clips'])} pairs of clips, {settings['kbps']:g} kbit/s; "
        f"{cpu_ms:.0f} ms of one core for a second of sound"
    )
    return _table(echo_table.HEAD, echo_table.rows(results)) + "\n\n" + _source(results, what)


def voice_noise_cost(results: Mapping[str, Any]) -> str:
    """Delay and processor time of suppressors beside the speech coder's."""
    return (
        _table(voice_noise_table.COST_HEAD, voice_noise_table.cost_rows(results)) + "\n\n" + _made(results, "one clip")
    )


def pivot_rules(results: Mapping[str, Any]) -> str:
    """When to send a pivot, from `avcall bench pivots`."""
    seconds = f"the first {results['settings']['seconds']:g} s of each, every {results['settings']['stride']}th frame"
    return _table(pivots_table.HEAD, pivots_table.rows(results)) + "\n\n" + _source(results, seconds)


def _goals(of: Callable[[Mapping[str, Any]], list[goals_table.Goal]]) -> Callable[[Mapping[str, Any]], str]:
    """What was wanted, and what came of it."""

    def table(results: Mapping[str, Any]) -> str:
        return _table(goals_table.HEAD, [goal.row() for goal in of(results)]) + "\n\n" + _source(results, "means")

    return table


TABLES: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "goals_evaluation": ("evaluation.json", _goals(goals_table.evaluation)),
    "goals_two_way": ("calls.json", _goals(goals_table.two_way)),
    "goals_two_way_default": ("calls_default.json", _goals(goals_table.two_way)),
    "goals_one_way": ("calls_one_way.json", _goals(goals_table.one_way)),
    "goals_loss": ("loss.json", _goals(goals_table.lossy)),
    "enhancement": ("enhancement.json", repaired_table),
    "ablation": ("ablation.json", stages_table),
    "super_resolution": ("super_resolution.json", enlarging_table),
    "interpolation_triplets": ("interpolation.json", _interpolation(interpolation_table.triplets)),
    "interpolation_call": ("interpolation.json", _interpolation(interpolation_table.call)),
    "interpolation_cost": ("interpolation.json", _interpolation(interpolation_table.cost)),
    "calls": ("calls.json", calls_table),
    "calls_one_way": ("calls_one_way.json", calls_table),
    "calls_thesis": ("calls_thesis.json", calls_table),
    "speed": ("speed.json", speed_table),
    "pivot_intra": ("pivot_intra.json", intra_table),
    "pivot_chain": ("pivot_chain.json", chain_table),
    "pivots": ("pivots.json", pivot_rules),
    "link": ("link.json", link_table),
    "evaluation_brief": ("evaluation.json", brief_table),
    "learning_curve": ("learning_curve.json", learning_table),
    "learning_people": ("learning_people.json", learning_table),
    "detector": ("detector.json", detector_table),
    "rate_control": ("rate_control.json", rate_control_cases),
    "loss": ("loss.json", lossy_calls),
    "thin_link": ("thin_link.json", thin_link_calls),
    "thin_link_bucket": ("thin_link_bucket.json", thin_link_calls),
    "echo": ("echo.json", echo),
    "voice_noise": ("voice_noise.json", voice_in_noise),
    "voice_noise_recorded": ("voice_noise.json", voice_as_recorded),
    "voice_noise_cost": ("voice_noise.json", voice_noise_cost),
    "bandwidth": ("bandwidth.json", bandwidth_table),
    "bandwidth_goals": ("bandwidth.json", bandwidth_goals),
    "bandwidth_comparison": ("bandwidth.json", bandwidth_comparison),
    "bandwidth_512": ("bandwidth_512.json", bandwidth_table),
    "bandwidth_512_goals": ("bandwidth_512.json", bandwidth_goals),
    "bandwidth_512_comparison": ("bandwidth_512.json", bandwidth_comparison),
}
PLOTS: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "bandwidth.svg": ("bandwidth.json", bandwidth_svg),
    "bandwidth_512.svg": ("bandwidth_512.json", bandwidth_svg),
}
"""Files of docs/images, each drawn where its results are there."""


def rewritten(page: str, results: Path) -> str:
    """The page with every marked block made anew from the folder `results`.

    Raises:
        KeyError, FileNotFoundError: a block without a table, a table without its results.
    """

    def block(match: re.Match[str]) -> str:
        file, table = TABLES[match[2]]
        data = json.loads((results / file).read_text(encoding="utf-8"))
        return f"{match[1]}{table(data).rstrip()}\n{match[3]}"

    return _BLOCK.sub(block, page)


def plots(results: Path) -> dict[str, str]:
    """The plots that the folder `results` has data for, by file name."""
    return {
        name: plot(json.loads((results / file).read_text(encoding="utf-8")))
        for name, (file, plot) in PLOTS.items()
        if (results / file).is_file()
    }


def pages(root: Path) -> list[Path]:
    """The pages that may hold figures."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def _source(results: Mapping[str, Any], what: str) -> str:
    return _made(results, f"{_clips(results['clips'])}, {what}")


def _clips(names: Sequence[str]) -> str:
    """How many; "none: ..." says what stood in for them."""
    (first, *others) = names
    if first.startswith("none"):
        return first.replace("none", "no clips")
    return f"{len(names)} clips" if others else "1 clip"


def _made(results: Mapping[str, Any], what: str, commits: str = "") -> str:
    commits = commits or f"commit {results['commit']}"
    return (
        f"{what}; avcall {results['version']}, {commits}, "
        f"`{results['command']}`, {results['machine']['cpu']}, {results['machine']['cores']} cores."
    )


def main() -> None:
    """Rewrites the pages and plots of the checkout this runs in."""
    root = Path(__file__).resolve().parents[1]
    for page in pages(root):
        before = page.read_text(encoding="utf-8")
        after = rewritten(before, root / "results")
        if after != before:
            page.write_text(after, encoding="utf-8")
    for name, drawn in plots(root / "results").items():
        (root / "docs" / "images" / name).write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
