"""Receiver reports: their bytes, when they are made, and what the sender makes of them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avcall.common.errors import ProtocolError
from avcall.common.report_format import MAX_EARLIER, Earlier, Report, pack_report, parse_report
from avcall.receiver.reporter import EARLY_MS, EVERY_MS, LATER_BY_MS, SOONEST_MS, Reporter
from avcall.sender.rate_control_feedback import JITTER_MS, Feedback, Sample, SentHistory

U16 = st.integers(0, 2**16 - 1)
REPORTS = st.builds(
    Report,
    stamp=U16,
    arrived_ms=U16,
    held=st.integers(0, 255),
    received=U16,
    received_bytes=U16,
    earlier=st.lists(
        st.builds(Earlier, stamp_gap_ms=st.integers(1, 255), arrival_gap=st.integers(-128, 127)), max_size=MAX_EARLIER
    ).map(tuple),
)


def test_the_bytes_are_those_of_the_wire_document() -> None:
    report = Report(0x1234, 0x5678, 5, 0x0102, 0x0304, (Earlier(120, 30), Earlier(80, -2)))
    assert pack_report(report).hex(" ") == "09 34 12 78 56 05 02 01 04 03 78 1e 50 fe"


@given(REPORTS)
def test_a_report_survives_the_wire(report: Report) -> None:
    assert parse_report(pack_report(report)) == report


@pytest.mark.parametrize("size", [0, 1, 9, 11, 13, 10 + 2 * MAX_EARLIER + 2])
def test_reports_of_a_wrong_length_are_refused(size: int) -> None:
    with pytest.raises(ProtocolError):
        parse_report(bytes([9]) + bytes(max(0, size - 1)) if size else b"")


def test_a_report_that_lists_a_packet_twice_is_refused() -> None:
    with pytest.raises(ProtocolError, match="twice"):
        parse_report(pack_report(Report(1, 2, 3, 4, 5)) + bytes([0, 7]))


def arrive(reporter: Reporter, stamps: list[int], delay_ms: float = 50.0) -> None:
    for number, stamp in enumerate(stamps):
        reporter.arrived(stamp, 200 * (number + 1), stamp + delay_ms)


def test_reports_come_at_their_pace_and_only_while_packets_arrive() -> None:
    reporter = Reporter()
    assert reporter.report(0.0) is None
    made = []
    for now_ms in range(0, 20_000, 40):
        if now_ms < 15_000 and now_ms % 120 == 0:
            reporter.arrived(now_ms % 2**16, 100, now_ms + 50.0)
        if reporter.report(now_ms + 51.0) is not None:
            made.append(now_ms)
    later = [now_ms for now_ms in made if now_ms > EARLY_MS + 500]
    assert {after - before for before, after in pairwise(later)} == {480}
    assert len([now_ms for now_ms in made if now_ms < EARLY_MS]) == 67  # with every bundle
    assert max(made) < 15_000 + EVERY_MS


def test_a_late_packet_is_reported_soon() -> None:
    reporter = Reporter()
    arrive(reporter, list(range(0, 12_000, 120)))
    assert reporter.report(12_000.0) is not None
    reporter.arrived(12_000, 1, 12_050.0)
    assert reporter.report(12_000.0 + SOONEST_MS + 1.0) is None
    reporter.arrived(12_120, 1, 12_120.0 + 50.0 + LATER_BY_MS + 1.0)
    assert reporter.report(12_250.0) is not None


def test_a_report_says_what_arrived_when() -> None:
    reporter = Reporter()
    arrive(reporter, [1000, 1120, 1240])
    assert reporter.report(1310.0) == Report(1240, 1290, 5, 3, 600 // 16, (Earlier(120, 30), Earlier(120, 30)))
    assert reporter.report(2000.0) is None


def test_packets_out_of_order_and_far_apart_are_counted_though_not_listed() -> None:
    reporter = Reporter()
    for stamp, arrived_ms in ((1000, 1050.0), (1400, 1450.0), (1300, 1458.0)):
        reporter.arrived(stamp, 64, arrived_ms)
    report = reporter.report(2000.0)
    assert report is not None
    assert (report.stamp, report.received) == (1400, 3)
    assert report.earlier == (Earlier(100, -2),)


def history(sent: dict[int, float]) -> SentHistory:
    made = SentHistory()
    for stamp, sent_ms in sent.items():
        made.sent(stamp, 250, sent_ms)
    return made


def test_the_sender_reads_delays_losses_rate_and_round_trip() -> None:
    made = history({1000: 1005.0, 1120: 1125.0})
    made.sent_unstamped(700)
    for stamp in (1240, 1360, 1480):
        made.sent(stamp, 250, stamp + 5.0)
    first = made.feedback(Report(1000, 60_000, 0, 1, 100), 1105.0)
    assert first is not None
    assert first == Feedback(
        (Sample(1005.0, first.samples[0].transit_ms, 250),), first.arrived_ms, 0, 0.0, 0, 1, 0, 100.0
    )
    second = made.feedback(Report(1480, 60_490, 5, 4, 140, (Earlier(120, 30), Earlier(240, 60))), 1615.0)
    assert second is not None
    base_ms = first.samples[0].transit_ms
    assert [sample.transit_ms - base_ms for sample in second.samples] == [10.0, 10.0, 10.0]
    assert [sample.sent_ms for sample in second.samples] == [1125.0, 1365.0, 1485.0]
    assert (second.expected, second.lost) == (4, 1)
    assert (second.delivered_bytes, second.delivered_ms) == (640, 490.0)
    assert second.sent_bytes == 4 * 250 + 700
    assert second.rtt_ms == 110.0


def test_a_lost_report_costs_no_figures() -> None:
    made = history({stamp: float(stamp) for stamp in range(1000, 3000, 100)})
    made.feedback(Report(1000, 1050, 0, 1, 10), 1100.0)
    late = made.feedback(Report(2900, 2950, 0, 18, 300), 3000.0)
    assert late is not None
    assert (late.expected, late.lost, late.delivered_bytes, late.delivered_ms) == (19, 2, 290 * 16, 1900.0)


def test_an_overtaken_report_says_nothing_new() -> None:
    made = history({1000: 1000.0, 1100: 1100.0})
    assert made.feedback(Report(1100, 1150, 0, 2, 10), 1200.0) is not None
    assert made.feedback(Report(1000, 1050, 0, 1, 5), 1201.0) is None
    assert made.feedback(Report(1100, 1150, 0, 2, 10), 1202.0) is None


def test_counts_and_clocks_wrap() -> None:
    made = history({65_500: 65_500.0, 84: 65_620.0})
    made.feedback(Report(65_500, 65_530, 0, 1, 65_530), 65_600.0)
    after = made.feedback(Report(84, 114, 0, 2, 4), 65_700.0)
    assert after is not None
    assert (after.lost, after.delivered_bytes, after.delivered_ms) == (0, 160, 120.0)
    assert after.samples[-1].transit_ms == 30.0


@pytest.mark.parametrize(
    "report",
    [Report(999, 1050, 0, 1, 1), Report(1100, 1150, 0, 5_000, 1)],
    ids=["never sent", "more than were sent"],
)
def test_reports_of_another_call_are_refused(report: Report) -> None:
    made = history({1000: 1000.0, 1100: 1100.0})
    made.feedback(Report(1000, 1050, 0, 1, 1), 1050.0)
    with pytest.raises(ProtocolError):
        made.feedback(report, 1200.0)


def test_a_train_shows_what_the_path_carries() -> None:
    made = history({1000: 1000.0})
    made.sent_unstamped(300)
    made.sent(1040, 100, 1040.0)
    made.feedback(Report(1000, 1050, 0, 1, 1000), 1100.0)
    after = made.feedback(Report(1040, 1115, 0, 2, 1025), 1200.0)
    assert after is not None
    assert after.fastest_kbps == pytest.approx(8 * 400 / (65 + JITTER_MS))


@pytest.mark.parametrize(("received", "units"), [(2, 24), (1, 25)])
def test_a_train_with_a_loss_shows_nothing(received: int, units: int) -> None:
    made = history({1000: 1000.0})
    made.sent_unstamped(300)
    made.sent(1040, 100, 1040.0)
    made.feedback(Report(1000, 1050, 0, 1, 1000), 1100.0)
    after = made.feedback(Report(1040, 1115, 0, received, 1000 + units - 1), 1200.0)
    assert after is not None
    assert after.fastest_kbps == 0.0


def test_a_report_at_once_is_about_the_first_packet_alone() -> None:
    reporter = Reporter()
    reporter.arrived(1000, 160, 1050.0)
    reporter.arrived(1040, 640, 1060.0)
    assert reporter.report(1070.0) == Report(1000, 1050, 5, 1, 10)
    assert reporter.report(1110.0) == Report(1040, 1060, 12, 2, 40)
