"""Whole calls on virtual time: a real sender, session and receiver; only face, camera and network are made up.

The made-up reenactor writes the nose's x into its picture, so what is shown can be compared with what was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from avcall.bench.memory_link import MemoryLink, Path, pair
from avcall.bench.virtual_call import Outcome, hello, losses, one_way
from avcall.bench.virtual_face import PortraitCamera, nose_x
from avcall.bench.virtual_time import VirtualTimeLoop, run
from avcall.common import wire
from avcall.common.errors import CallError, ModelMismatchError
from avcall.common.keypoints import NOSE
from avcall.common.link import Channel
from avcall.common.pivot_format import join_slices
from avcall.receiver.bundles import BundleReader
from avcall.signaling.session import handshake


def call(
    there: Path, back: Path, *, wire_kind: str = "thesis", every: int = 1, span_ms: str = "120", **values: Any
) -> Outcome:
    """Made as `one_way` does, with spans of 120 ms unless told otherwise."""
    config = {"wire": wire_kind, "keypoints_every": every, "span_ms": span_ms}
    return run(lambda loop: one_way(loop, there, back, **config, **values))


def noses(link: MemoryLink) -> Iterator[tuple[int, float]]:
    """Capture time and nose of every frame that was sent, alone or in a bundle."""
    packets = [wire.parse(data) for _, channel, data in link.sent if channel is Channel.MEDIA]
    riding = [part for packet in packets if isinstance(packet, wire.Bundle) for part in wire.attached(packet)]
    slices = [packet for packet in (*packets, *riding) if isinstance(packet, wire.PivotSlice)]
    pivots, reader = {}, BundleReader()
    for pivot_id in {part.pivot_id for part in slices}:
        parts = {part.index: part.data for part in slices if part.pivot_id == pivot_id}
        head = next(part for part in slices if part.pivot_id == pivot_id)
        body = join_slices(parts, head.length, head.count)
        if body is not None:
            pivots[pivot_id] = wire.parse_pivot(body).keypoints
    for packet in packets:
        if isinstance(packet, wire.KeypointPacket):
            yield packet.capture_ms, float(packet.keypoints[NOSE, 0])
        elif isinstance(packet, wire.Bundle):
            for frame in reader.read(packet, pivots[packet.pivot_id]):
                yield frame.capture_ms, float(frame.keypoints[NOSE, 0])


def sent(outcome: Outcome) -> dict[int, float]:
    """Capture time in ms to the nose's x of every frame that was sent."""
    return dict(noses(outcome.there))


def motion_error(outcome: Outcome) -> float:
    """Mean difference between the shown nose and the sent track at the time the picture claims to show."""
    track_of = sent(outcome)
    times = np.array(sorted(track_of))
    track = np.array([track_of[time] for time in times])
    shown = [(v["capture_ms"], nose_x(image)) for image, v in outcome.shown if v["pose_kind"] != "held"]
    return float(np.mean([abs(x - np.interp(time, times, track)) for time, x in shown]))


def test_a_clean_call_shows_every_frame_in_time_and_in_sync() -> None:
    outcome = call(Path(delay_ms=50), Path(delay_ms=50), seconds=20)
    assert outcome.reason == "the file has ended"
    assert outcome.sender.counters["frames_sent"] == 500
    assert outcome.summary["ticks_filled"] >= 0.98
    assert outcome.summary["freeze_longest_ms"] <= 120
    assert outcome.summary["latency_ms"]["p95"] <= 50 + 60 + 140  # the way, a packet of voice, play-out delay
    assert motion_error(outcome) < 0.004  # of 0.3 amplitude
    assert outcome.summary["av_skew_ms"]["p95_abs"] <= 40


def test_the_payload_is_that_of_the_thesis() -> None:
    outcome = call(Path(), Path(), seconds=20)
    keypoints = outcome.sender.payload_bytes["keypoints"]
    assert keypoints == 90 * outcome.sender.counters["frames_sent"]
    assert 6_000 < outcome.sender.payload_bytes["voice"] * 8 / 20 < 11_000  # bit/s, 8,000 asked for
    assert outcome.receiver.payload_bytes["keypoints"] == keypoints


@pytest.mark.parametrize(("share", "filled", "freeze_ms"), [(0.1, 0.97, 400), (0.3, 0.90, 600)])
def test_losses_are_bridged(share: float, filled: float, freeze_ms: float) -> None:
    path = Path(delay_ms=50, losses=losses(share), jitter_ms=[0, 5, 15, 2, 20, 8])
    back = Path(delay_ms=50, losses=losses(share, seed=8))
    outcome = call(path, back, seconds=30)
    assert outcome.summary["ticks_filled"] >= filled
    assert outcome.summary["freeze_longest_ms"] <= freeze_ms
    assert motion_error(outcome) < 0.03
    acknowledged = [values for kind, values in outcome.sender_log.events if kind == "pivot_acknowledged"]
    assert len(acknowledged) >= 4  # one every 5 s, whatever is lost


def test_bundles_show_every_frame_at_a_third_of_the_packets() -> None:
    clean = Path(delay_ms=50)
    thesis = call(clean, Path(delay_ms=50), seconds=20)
    coded = call(clean, Path(delay_ms=50), seconds=20, wire_kind="coded")
    assert coded.sender.counters["frames_sent"] == 500
    assert coded.summary["counters"]["keypoints_received"] == 500
    assert coded.summary["ticks_filled"] >= 0.98
    assert coded.summary["freeze_longest_ms"] <= 120
    assert coded.summary["latency_ms"]["p95"] <= 250  # at a round trip of 100 ms
    assert coded.summary["av_skew_ms"]["p95_abs"] <= 40
    assert motion_error(coded) < 0.004
    assert len(coded.there.sent) < len(thesis.there.sent) / 3
    assert coded.sender.payload_bytes["keypoints"] < thesis.sender.payload_bytes["keypoints"] / 5
    for kind in ("keypoints", "voice"):
        assert coded.receiver.payload_bytes[kind] == coded.sender.payload_bytes[kind]
    assert not coded.receiver.counters["packets_malformed"]


@pytest.mark.parametrize("wire_kind", ["thesis", "coded"])
@pytest.mark.parametrize(("every", "count"), [(2, 250), (3, 167)])
def test_keypoints_of_some_frames_show_all_of_them(every: int, count: int, wire_kind: str) -> None:
    path = Path(delay_ms=50)
    outcome = call(path, Path(delay_ms=50), seconds=20, wire_kind=wire_kind, every=every)
    changes = 2 * 4  # a pivot every 5 s, and up to two poses more at each change
    assert count <= outcome.sender.counters["frames_sent"] <= count + changes
    assert outcome.summary["counters"]["keypoints_lost"] == 0
    assert outcome.summary["ticks_filled"] >= 0.97
    assert outcome.summary["freeze_longest_ms"] <= 160
    assert outcome.summary["latency_ms"]["p95"] <= 350  # up to a gap more than with all
    assert outcome.summary["av_skew_ms"]["p95_abs"] <= 40
    assert motion_error(outcome) < 0.006
    kinds = [values["pose_kind"] for _, values in outcome.shown]
    assert kinds.count("interpolated") > (1 - 1 / every) * 0.8 * len(kinds)


@pytest.mark.parametrize(("share", "filled", "freeze_ms"), [(0.1, 0.985, 300), (0.3, 0.95, 500)])
def test_lost_bundles_are_bridged(share: float, filled: float, freeze_ms: float) -> None:
    path = Path(delay_ms=50, losses=losses(share), jitter_ms=[0, 5, 15, 2, 20, 8])
    back = Path(delay_ms=50, losses=losses(share, seed=8))
    outcome = call(path, back, seconds=30, wire_kind="coded")
    assert outcome.summary["ticks_filled"] >= filled
    assert outcome.summary["freeze_longest_ms"] <= freeze_ms
    assert motion_error(outcome) < 0.03
    acknowledged = [values for kind, values in outcome.sender_log.events if kind == "pivot_acknowledged"]
    assert len(acknowledged) >= 4


def test_bundles_wait_for_a_pivot_whose_slices_are_lost() -> None:
    path = Path(delay_ms=30, losses=[True] * 6 + [False] * 100_000)
    outcome = call(path, Path(delay_ms=30), seconds=10, wire_kind="coded")
    assert outcome.summary["time_to_first_face_ms"] < 2500
    assert outcome.summary["ticks_filled"] >= 0.95
    assert not outcome.receiver.counters["packets_malformed"]


def test_a_lost_face_is_held_with_bundles_too() -> None:
    outcome = call(Path(), Path(), seconds=14, away=(4.0, 7.0), wire_kind="coded")
    start_ms = min(sent(outcome))
    gone = [image for image, v in outcome.shown if 5000 < v["capture_ms"] - start_ms < 6800]
    assert gone
    assert len({nose_x(image) for image in gone}) == 1
    back = [v for _, v in outcome.shown if v["capture_ms"] - start_ms > 9000]
    assert sum(v["filled"] for v in back) >= 0.95 * len(back)


def test_reordering_does_not_show() -> None:
    path = Path(delay_ms=40, jitter_ms=[0, 90, 10, 0, 70, 30, 0])
    outcome = call(path, Path(), seconds=20)
    times = [values["capture_ms"] for _, values in outcome.shown]
    assert times == sorted(times)
    assert outcome.summary["ticks_filled"] >= 0.97
    assert motion_error(outcome) < 0.01


def test_a_pivot_whose_slices_are_lost_is_sent_again() -> None:
    path = Path(delay_ms=30, losses=[True] * 12 + [False] * 100_000)
    outcome = call(path, Path(delay_ms=30), seconds=10)
    assert outcome.summary["time_to_first_face_ms"] < 2500
    assert outcome.shown


def test_a_face_that_leaves_is_held_and_returns_with_a_fresh_pivot() -> None:
    outcome = call(Path(), Path(), seconds=14, away=(4.0, 7.0))
    pivots = [values for kind, values in outcome.sender_log.events if kind == "pivot"]
    assert "face_return" in [values["reason"] for values in pivots]
    start_ms = min(sent(outcome))
    gone = [image for image, v in outcome.shown if 5000 < v["capture_ms"] - start_ms < 6800]
    assert gone, "the last picture stays"
    assert len({nose_x(image) for image in gone}) == 1
    back = [v for _, v in outcome.shown if v["capture_ms"] - start_ms > 9000]
    assert sum(v["filled"] for v in back) >= 0.95 * len(back)


def test_a_peer_that_vanishes_ends_the_call_with_an_error_on_both_sides() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        call(Path(), Path(), seconds=40, cut_after_s=10)
    messages = [str(error) for error in caught.value.exceptions]
    assert all(isinstance(error, CallError) for error in caught.value.exceptions)
    assert all("the peer is gone" in message for message in messages)


def test_other_weights_are_refused_at_both_ends() -> None:
    async def main(loop: VirtualTimeLoop) -> list[object]:
        a, b = pair()
        other = replace(hello(sends=False, receives=True), weights="ffffffff")
        ends = await asyncio.gather(
            handshake(a, hello(sends=True, receives=False)), handshake(b, other), return_exceptions=True
        )
        await a.close()
        return list(ends)

    for error in run(main):
        assert isinstance(error, ModelMismatchError | CallError)
        assert "ffffffff" in str(error) or "refused" in str(error)


def test_where_not_even_the_least_fits_half_the_keypoints_are_sent_and_the_call_is_as_long() -> None:
    whole, thin = (
        call(Path(delay_ms=50), Path(delay_ms=50), wire_kind="coded", span_ms="auto", seconds=20, max_kbps=kbps)
        for kbps in (500.0, 10.0)
    )
    assert whole.sender.counters["frames_sent"] > 480
    assert 220 < thin.sender.counters["frames_sent"] < 320  # the first seconds are not thin
    assert thin.there.up_bytes < 0.8 * whole.there.up_bytes
    assert thin.summary["ticks_filled"] > 0.98
    assert thin.summary["freeze_longest_ms"] <= 120.0


def test_poses_left_out_before_the_first_picture_make_no_delay() -> None:
    path = Path(delay_ms=50, rate_kbps=200)
    outcome = call(path, Path(delay_ms=50), wire_kind="coded", seconds=5, camera=PortraitCamera)
    late = [values["latency_ms"] for _, values in outcome.shown if values.get("latency_ms") is not None]
    assert np.median(late[:15]) <= np.median(late[50:]) + 15.0
