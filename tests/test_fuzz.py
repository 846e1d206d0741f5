"""Hostile bytes: counted and dropped, whatever they are; and the fuzzer itself notices what is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avcall.bench.fuzz import Hostile, fuzz, measure_fuzz
from avcall.bench.fuzz_target import Target
from avcall.common import control, keypoint_coder, wire
from avcall.common.errors import ProtocolError
from avcall.common.keypoints import COUNT
from avcall.common.report_format import Report
from avcall.receiver.reporter import Reporter
from avcall.receiver.sender_time import SenderTime
from avcall.sender.rate_control_feedback import SentHistory


def test_the_fewest_cases_are_measured_too() -> None:
    results = measure_fuzz(1_000, 7)
    assert results["accepted"] + results["refused"] == results["cases"] == 1_000
    assert 0 < results["memory_mb"]["begin"] <= results["memory_mb"]["peak"]


def test_ten_thousand_hostile_messages_do_no_harm() -> None:
    outcome = fuzz(10_000, seed=7)
    assert outcome.accepted + outcome.refused == 10_000
    assert outcome.accepted > 2_000  # good ones among them reach the states behind the parsers
    assert outcome.refused > 2_000


def test_a_seed_gives_the_same_messages() -> None:
    first, again, other = (Hostile(seed) for seed in (3, 3, 4))
    target = Target()
    cases = [[hostile.case(target, 1000.0 * i) for i in range(50)] for hostile in (first, again, other)]
    assert cases[0] == cases[1] != cases[2]


def test_harm_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def harmed(data: bytes) -> wire.Packet:
        raise IndexError

    monkeypatch.setattr("avcall.bench.fuzz_target.wire.parse", harmed)
    with pytest.raises(IndexError):
        fuzz(100, seed=1)


def test_a_case_that_takes_long_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avcall.bench.fuzz.SLOW_S", 0.0)
    with pytest.raises(AssertionError, match="case 0 of seed 1"):
        fuzz(10, seed=1)


def test_the_bench_counts_all_and_looks_at_memory() -> None:
    results = measure_fuzz(3_000, 2)
    assert results["accepted"] + results["refused"] == sum(results["kinds"].values()) == results["cases"] == 3_000
    assert results["memory_mb"]["peak"] >= results["memory_mb"]["begin"]


FIRST_BYTES = st.sampled_from([1, 2, 3, 4, 9, 0x80, 0x84, 0x9F, 0xFF])
MEDIA = st.builds(lambda first, rest: bytes([first]) + rest, FIRST_BYTES, st.binary(max_size=1200))


@settings(max_examples=1000, deadline=None)
@given(MEDIA)
def test_a_media_message_is_a_packet_or_refused(data: bytes) -> None:
    try:
        packet = wire.parse(data)
    except ProtocolError:
        return
    assert wire.parse(wire.pack(packet)) is not None


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=5000))
def test_a_control_message_is_a_message_or_refused(data: bytes) -> None:
    try:
        message = control.parse(data)
    except ProtocolError:
        return
    assert control.parse(control.pack(message)) == message


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.integers(1, 10))
def test_coded_keypoints_are_points_within_bounds_or_refused(data: bytes, frames: int) -> None:
    import numpy as np

    try:
        decoded, scenes = keypoint_coder.decode(data, frames, np.zeros((COUNT, 2), np.float32))
    except ProtocolError:
        return
    assert len(decoded) == len(scenes) == frames
    assert all(abs(number) <= 2.0 for scene in scenes for number in scene.background.numbers)
    assert all(np.abs(points).max() <= wire.KEYPOINT_LIMIT for points in decoded)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**16 - 1), st.floats(0, 1e5)), max_size=60))
def test_any_arrivals_make_reports_that_can_be_sent(arrivals: list[tuple[int, float]]) -> None:
    reporter, now_ms = Reporter(), 0.0
    for stamp, later_ms in arrivals:
        now_ms += later_ms
        reporter.arrived(stamp, 10**9, now_ms)
        report = reporter.report(now_ms)
        if report is not None:
            assert wire.parse(wire.pack(report)) == report
            assert len(wire.pack(report)) <= 255


U16 = st.integers(0, 2**16 - 1)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.builds(Report, U16, U16, st.integers(0, 255), U16, U16), max_size=20))
def test_any_reports_are_feedback_within_reason_or_refused(reports: list[Report]) -> None:
    history = SentHistory()
    for stamp in range(0, 2**16, 120):
        history.sent(stamp, 250, float(stamp))
    for report in reports:
        try:
            feedback = history.feedback(report, 70_000.0)
        except ProtocolError:
            continue
        if feedback is not None:
            assert 0 <= feedback.lost <= feedback.expected
            assert feedback.rtt_ms >= 0.0
            assert feedback.delivered_ms >= 0.0


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), max_size=80))
def test_any_capture_times_are_near_the_arrival_or_refused(times: list[int]) -> None:
    clock = SenderTime()
    before: float | None = None
    for number, capture_ms in enumerate(times):
        try:
            media_ms = clock.media_ms(capture_ms, 40.0 * number)
        except ProtocolError:
            continue
        assert media_ms % 2**32 == capture_ms
        before = media_ms
    assert before is None or abs(before) < 2**33
