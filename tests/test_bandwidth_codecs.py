"""Each codec through the packaged FFmpeg on a small moving picture."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from avcall.bench import codecs
from avcall.bench.codecs import CODECS, Codec, Ffmpeg, codec
from avcall.common.errors import ConfigError
from avcall.common.keypoints import Image
from avcall.models.metrics import psnr

pytest.importorskip("imageio_ffmpeg")
SIDE, COUNT = 128, 10


@pytest.fixture(scope="module")
def ffmpeg() -> Ffmpeg:
    return Ffmpeg()


@pytest.fixture(scope="module")
def frames() -> list[Image]:
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    waves = [np.sin((x + 3 * tick) / 9) + np.cos((y - 2 * tick) / 13) for tick in range(COUNT)]
    return [np.repeat((127 + 60 * wave)[..., None], 3, axis=2).astype(np.uint8) for wave in waves]


@pytest.mark.parametrize("one", CODECS, ids=lambda one: str(one.name))
def test_every_codec_gives_every_picture_back_in_its_place(ffmpeg: Ffmpeg, frames: list[Image], one: Codec) -> None:
    planar = ffmpeg.planar(frames, SIDE)
    assert len(planar) == COUNT * SIDE * SIDE * 3 // 2
    stream = ffmpeg.encode(one, planar, SIDE, 25.0, one.finest + 10)
    shown = ffmpeg.decode(stream, 25.0, COUNT, SIDE)
    assert stream.packets in (None, COUNT)
    assert 0 < stream.payload_bytes < len(stream.data)
    for tick in (0, 4, COUNT - 1):
        right = psnr(frames[tick], shown[tick])
        assert right > 28
        assert all(right > psnr(frames[other], shown[tick]) for other in range(COUNT) if other != tick)


@pytest.mark.parametrize("name", ["x265", "aom"])
def test_a_coarser_quality_takes_fewer_bytes(ffmpeg: Ffmpeg, frames: list[Image], name: str) -> None:
    one = codec(name)
    planar = ffmpeg.planar(frames, SIDE // 2)
    fine, coarse = (
        ffmpeg.encode(one, planar, SIDE // 2, 5.0, quality).payload_bytes for quality in (one.finest, one.coarsest)
    )
    assert coarse < fine / 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives up rights to run an encoder")
def test_root_encodes_with_a_binary_in_a_folder_of_its_own(
    frames: list[Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "own"
    folder.mkdir(mode=0o700)
    (folder / "ffmpeg").symlink_to(Ffmpeg()._binary)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(folder / "ffmpeg"))
    ffmpeg, one = Ffmpeg(), codec("svt-av1")
    assert Path(ffmpeg._binary).parent == folder
    stream = ffmpeg.encode(one, ffmpeg.planar(frames, SIDE), SIDE, 25.0, one.finest + 10)
    assert len(ffmpeg.decode(stream, 25.0, COUNT, SIDE)) == COUNT
    monkeypatch.setattr(codecs, "_WITHOUT_PRIORITY", ("no-such-command",))
    with pytest.raises(ConfigError, match="no no-such-command: install util-linux, or use another account than root's"):
        ffmpeg.encode(one, ffmpeg.planar(frames, SIDE), SIDE, 25.0, one.finest + 10)


def test_a_half_size_stream_is_shown_at_full_size(ffmpeg: Ffmpeg, frames: list[Image]) -> None:
    one = codec("x264")
    stream = ffmpeg.encode(one, ffmpeg.planar(frames, SIDE // 2), SIDE // 2, 12.5, 20)
    assert ffmpeg.decode(stream, 12.5, COUNT, SIDE)[3].shape == (SIDE, SIDE, 3)


def test_an_unknown_codec_is_named() -> None:
    with pytest.raises(ConfigError, match="theora"):
        codec("theora")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    with pytest.raises(ConfigError, match=r"avcall\[bench\]"):
        Ffmpeg()
