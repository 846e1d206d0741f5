"""The video codecs that the bandwidth benchmark compares with, each as its experts would set it for a call.

FFmpeg runs as a program, from the package `imageio-ffmpeg`. Every codec codes one key frame, looks at no later frame
(but `vvenc-ra`, which is the bound that a call cannot reach), uses one thread, and is asked for a quality, not for a
rate: the benchmark looks for the finest one that fits (`bandwidth_search`). docs/bandwidth.md has the command lines and
the reason of every option.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avcall.bench.codecs_stream import Container, Stream, stream_cost
from avcall.common.errors import AvcallError, ConfigError
from avcall.common.keypoints import Image

_SCALE = "flags=lanczos+accurate_rnd+full_chroma_int+full_chroma_inp"
_UNPRIVILEGED = "nobody"
_WITHOUT_PRIORITY = ("setpriv", "--bounding-set", "-sys_nice")
"""Before a command that root runs: it may not give itself the priority of a real-time process."""
TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Codec:
    """`options` may hold "{q}" for the quality, `finest` the best of it and `coarsest` the worst."""

    name: str
    title: str
    options: str
    container: Container
    finest: int
    coarsest: int
    guess: int
    """Where a search begins."""
    low_delay: bool = True
    unprivileged: bool = False
    """As root it would take real-time priority from everything else on the machine."""

    def arguments(self, quality: int) -> list[str]:
        """FFmpeg's options of the encoder, the container's name included."""
        return [*self.options.format(q=quality).split(), "-threads", "1", "-f", self.container.value]


_X265 = "keyint=-1:scenecut=0:info=0:log-level=none:pools=none:frame-threads=1"

CODECS = (
    Codec(
        "x264",
        "H.264, x264",
        "-c:v libx264 -preset slower -tune zerolatency -crf {q} -g 100000 -sc_threshold 0 "
        "-bsf:v filter_units=remove_types=6",
        Container.H264,
        finest=18,
        coarsest=51,
        guess=42,
    ),
    Codec(
        "x265",
        "H.265, x265",
        f"-c:v libx265 -preset slow -tune zerolatency -crf {{q}} -x265-params {_X265} "
        "-bsf:v filter_units=remove_types=39|40",
        Container.HEVC,
        finest=18,
        coarsest=51,
        guess=43,
    ),
    Codec(
        "vp8",
        "VP8, libvpx",
        "-c:v libvpx -deadline realtime -cpu-used -4 -qmin {q} -qmax {q} -b:v 2M -g 100000 -lag-in-frames 0 "
        "-auto-alt-ref 0 -drop-threshold 0",
        Container.IVF,
        finest=4,
        coarsest=63,
        guess=58,
    ),
    Codec(
        "vp9",
        "VP9, libvpx",
        "-c:v libvpx-vp9 -deadline realtime -cpu-used 5 -crf {q} -b:v 0 -g 100000 -lag-in-frames 0 -auto-alt-ref 0 "
        "-row-mt 0",
        Container.IVF,
        finest=15,
        coarsest=63,
        guess=58,
    ),
    Codec(
        "aom",
        "AV1, libaom",
        "-c:v libaom-av1 -usage realtime -cpu-used 5 -crf {q} -b:v 0 -g 100000 -lag-in-frames 0 -row-mt 0",
        Container.IVF,
        finest=15,
        coarsest=63,
        guess=58,
    ),
    Codec(
        "svt-av1",
        "AV1, SVT-AV1",
        "-c:v libsvtav1 -preset 5 -crf {q} -g 100000 -svtav1-params pred-struct=1:lookahead=0:scd=0:lp=1",
        Container.IVF,
        finest=15,
        coarsest=63,
        guess=57,
        unprivileged=True,
    ),
    Codec(
        "vvenc",
        "H.266, VVenC, low delay",
        "-c:v libvvenc -preset faster -qp {q} -period 100000 "
        "-vvenc-params gopsize=8:picreordering=0:decodingrefreshtype=none:mctf=0:bim=0:alf=0",
        Container.VVC,
        finest=20,
        coarsest=63,
        guess=50,
    ),
    Codec(
        "vvenc-ra",
        "H.266, VVenC, random access",
        "-c:v libvvenc -preset faster -qp {q} -period 100000",
        Container.VVC,
        finest=20,
        coarsest=63,
        guess=47,
        low_delay=False,
    ),
)


def codec(name: str) -> Codec:
    """
    Raises:
        ConfigError: there is none of that name.
    """
    for one in CODECS:
        if one.name == name:
            return one
    raise ConfigError(f"--codecs {name}: there is avcall, {', '.join(one.name for one in CODECS)}")


class Ffmpeg:
    """Codes and decodes pictures through an FFmpeg binary; pictures are uint8 RGB (side, side, 3)."""

    def __init__(self, binary: str | None = None) -> None:
        """
        Raises:
            ConfigError: `binary` is not given and the package that has one is not installed.
        """
        self._binary = binary or _packaged()

    @property
    def version(self) -> str:
        """Such as "n9.0.2": results depend on the encoders in it."""
        words = self._run(["-version"], b"").decode(errors="replace").split()
        return words[2] if len(words) > 2 else "unknown"

    def planar(self, frames: Sequence[Image], side: int) -> bytes:
        """The pictures as yuv420p (BT.601) of side x side, one after another, reduced by Lanczos where smaller."""
        height, width = frames[0].shape[:2]
        pixels = b"".join(np.ascontiguousarray(frame).tobytes() for frame in frames)
        scale = f"scale={side}:{side}:{_SCALE},format=yuv420p"
        return self._run([*_raw("rgb24", width, height, 25.0), "-vf", scale, "-f", "rawvideo", "-"], pixels)

    def encode(self, one: Codec, planar: bytes, side: int, fps: float, quality: int) -> Stream:
        """Codes `planar` frames at `fps`. Raises AvcallError where the encoder fails."""
        arguments = [*_raw("yuv420p", side, side, fps), *one.arguments(quality), "-"]
        data = self._run_unprivileged(arguments, planar) if one.unprivileged else self._run(arguments, planar)
        return stream_cost(data, one.container)

    def decode(self, stream: Stream, fps: float, count: int, side: int) -> list[Image]:
        """What is shown on a clock of `fps`, `count` pictures of side x side: a frame that the encoder has dropped is
        the one before it, held."""
        timed = stream.container is Container.IVF
        source = ["-f", stream.container.value, *(() if timed else ("-r", f"{fps:g}")), "-i", "-"]
        scale = f"scale={side}:{side}:{_SCALE}"
        clock = ["-r", f"{fps:g}", "-fps_mode", "cfr"] if timed else ["-fps_mode", "passthrough"]
        out = self._run([*source, "-vf", scale, *clock, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"], stream.data)
        found = np.frombuffer(out, np.uint8).reshape(-1, side, side, 3).copy()
        if not 0 < len(found) <= count:
            raise AvcallError(f"FFmpeg decoded {len(found)} pictures of {count}")
        return [found[min(index, len(found) - 1)] for index in range(count)]

    def _run_unprivileged(self, arguments: list[str], data: bytes) -> bytes:
        """For root by an account without rights, or, where that may not enter the binary's folder, without the one."""
        if os.geteuid() != 0:
            return self._run(arguments, data)
        try:
            return self._run(arguments, data, user=_UNPRIVILEGED)
        except PermissionError:
            return self._run(arguments, data, before=_WITHOUT_PRIORITY)

    def _run(
        self, arguments: list[str], data: bytes, *, user: str | None = None, before: tuple[str, ...] = ()
    ) -> bytes:
        """What FFmpeg writes to its output.

        Raises:
            PermissionError: `user` may not run it. ConfigError, AvcallError: anything else that goes wrong.
        """
        command = [*before, self._binary, "-v", "error", "-nostdin", "-threads", "1", *arguments]
        environment = {**os.environ, "SVT_LOG": "1"}
        try:
            done = subprocess.run(
                command, input=data, capture_output=True, check=False, timeout=TIMEOUT_S, user=user, env=environment
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            if user is not None and isinstance(error, PermissionError):
                raise
            if before and isinstance(error, FileNotFoundError):
                raise ConfigError(f"no {before[0]}: install util-linux, or use another account than root's") from error
            raise AvcallError(f"{self._binary}: {error}") from error
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise AvcallError(f"FFmpeg failed ({' '.join(arguments)}): {words[0]}")
        return done.stdout


def _raw(pixels: str, width: int, height: int, fps: float) -> list[str]:
    """FFmpeg's options for raw frames on stdin."""
    return ["-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-"]


def _packaged() -> str:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise ConfigError("the codecs need the extra 'bench': pip install 'avcall[bench]'") from error
    binary: str = imageio_ffmpeg.get_ffmpeg_exe()
    if not Path(binary).is_file():
        raise ConfigError(
            "imageio-ffmpeg has no FFmpeg for this machine: set IMAGEIO_FFMPEG_EXE to one with all codecs"
        )
    return binary
