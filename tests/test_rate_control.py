"""The rate controller in simulated time: what the project promises, and the cases of RFC 8867 that apply."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from avcall.bench.rate_control import NEAR, Stretch, measure_rate_control, stretches, write_page
from avcall.bench.rate_control_cases import CASES, STEADY_KBPS, Scene, in_seconds
from avcall.bench.simulated_call import Flow, mean, throughput_kbps
from avcall.bench.simulated_network import Policer
from avcall.sender.rate_control import RateController
from avcall.sender.rate_control_feedback import Feedback, Sample


@cache
def played(case: str) -> Scene:
    return CASES[case]().run()


@cache
def parts(case: str) -> list[Stretch]:
    return stretches(played(case))


def flow(case: str, number: int = 0) -> Flow:
    return played(case).flows[number]


@pytest.mark.parametrize("kbps", STEADY_KBPS)
def test_it_finds_a_bottleneck_within_five_seconds_and_without_a_long_queue(kbps: int) -> None:
    (found,) = parts(f"bottleneck of {kbps}")
    assert found.converged_s is not None
    assert found.converged_s <= 5.0 + 0.5 * (kbps == 100)  # from 15 to 85 kbit/s takes 5.1 s
    assert found.target_kbps[0] == pytest.approx(kbps, rel=NEAR)
    assert found.kbps[0] == pytest.approx(kbps, rel=NEAR)
    assert found.near >= 0.9
    assert found.queue_max_ms <= 200.0


def test_reports_cost_about_half_a_kilobit_in_the_beginning() -> None:
    for kbps in STEADY_KBPS:
        scene = played(f"bottleneck of {kbps}")
        settled = [flow.report_bytes * 8 / scene.seconds / 1000 for flow in scene.flows]
        assert max(settled) < 0.55  # over 30 s of which 8 are of the denser beginning


def test_it_goes_down_with_the_capacity_and_returns_with_it() -> None:
    before, thin, after = parts("capacity returns")
    assert before.kbps[0] >= 0.85 * 50
    assert thin.kbps[0] == pytest.approx(17.0, rel=NEAR)
    assert thin.near >= 0.9
    assert after.kbps[0] >= 0.85 * 50
    assert after.converged_s is not None
    assert after.converged_s <= 10.0


def test_whoever_needs_twenty_does_not_believe_in_five_hundred() -> None:
    (found,) = parts("needs 20 of 500")
    assert found.kbps[0] == pytest.approx(18.9, abs=1.0)
    assert max(kbps for _, kbps in flow("needs 20 of 500").log.target_kbps) <= 1.5 * 22.0 + 10.0
    assert found.queue_max_ms < 20.0


@pytest.mark.parametrize(("case", "least"), [("50, 10 % random loss", 0.75), ("50, 30 % random loss", 0.4)])
def test_random_losses_are_not_taken_for_congestion(case: str, least: float) -> None:
    scene = played(case)
    assert throughput_kbps(scene.flows[0], 20_000, 60_000) >= least * 50


def test_a_policer_is_obeyed() -> None:
    """It drops all that is too much, and nothing ever waits."""
    scene = Scene(40.0, [(0.0, 30.0)])
    sending = scene.add(Policer(scene.simulation, scene.capacity))
    scene.run()
    assert mean(sending.log.target_kbps, 10_000, 40_000) <= 1.2 * 30.0
    assert throughput_kbps(sending, 10_000, 40_000) >= 0.7 * 30.0


def test_one_flow_follows_a_varying_capacity() -> None:
    for part, least in zip(parts("5.1 one flow"), (0.85, 0.85, 0.85, 0.85), strict=True):
        assert least * part.capacity_kbps <= part.kbps[0] <= 1.02 * part.capacity_kbps


def test_two_flows_follow_a_varying_capacity_and_share_it() -> None:
    for part in parts("5.2 two flows"):
        assert 0.85 * part.capacity_kbps <= sum(part.kbps) <= 1.02 * part.capacity_kbps
        assert part.fairness >= 0.8
        assert min(part.kbps) >= 0.25 * part.capacity_kbps


def test_a_congested_way_back_does_not_stop_the_flow() -> None:
    for part in parts("5.3 congested feedback"):
        assert part.kbps[0] >= 0.75 * part.capacity_kbps
    assert parts("5.3 congested feedback")[2].kbps[1] >= 0.75 * 20.0


def test_newcomers_get_their_share() -> None:
    last = parts("5.4 three flows")[-1]
    assert sum(last.kbps) >= 0.9 * 90.0
    assert last.fairness >= 0.9
    assert min(last.kbps) >= 0.25 * 90.0


def test_flows_of_other_round_trips_get_their_share() -> None:
    last = parts("5.5 round trips")[-1]
    assert sum(last.kbps) >= 0.9 * 150.0
    assert last.fairness >= 0.85


def test_a_flow_that_pauses_leaves_its_room_and_gets_it_back() -> None:
    _, paused, after = parts("5.8 pause and resume")
    assert paused.kbps[0] == 0.0
    assert sum(paused.kbps) >= 0.85 * 90.0
    assert after.fairness >= 0.85
    assert after.kbps[0] >= 0.6 * 30.0


def test_a_longer_path_is_not_taken_for_a_queue_for_ever() -> None:
    scene = Scene(60.0, [(0.0, 40.0)])
    way = scene.way(scene.bottleneck())
    moved = Flow(scene.simulation, way, scene.way(None))
    scene.flows.append(moved)

    def reroute() -> None:
        way.delay_ms += 120.0

    scene.simulation.at(20_000.0, reroute)
    scene.run()
    assert mean(moved.log.target_kbps, 50_000, 60_000) >= 0.8 * 40.0


def feedback(now_ms: float, transit_ms: float, *, kbps: float = 20.0, lost: int = 0, rtt_ms: float = 100.0) -> Feedback:
    size = round(kbps * 360.0 / 8.0)
    samples = tuple(Sample(now_ms - 360.0 + 120.0 * i, transit_ms, 250) for i in range(3))
    return Feedback(samples, now_ms, size, 360.0, size, 3, lost, rtt_ms)


def test_it_begins_low_and_keeps_within_its_bounds() -> None:
    assert RateController().target_kbps(0.0) == 15.0
    bounded = RateController(max_kbps=12.0)
    assert bounded.target_kbps(0.0) == 12.0
    for now_ms in range(0, 20_000, 360):
        bounded.on_feedback(feedback(now_ms, 0.0, kbps=12.0), now_ms)
    assert bounded.target_kbps(20_000.0) == 12.0


def test_a_queue_brings_the_target_below_what_is_delivered() -> None:
    controller = RateController()
    for now_ms in range(0, 3_600, 360):
        controller.on_feedback(feedback(now_ms, 0.0), now_ms)
    assert controller.target_kbps(3_600.0) > 22.0
    controller.on_feedback(feedback(3_600, 150.0), 3_600.0)
    assert controller.queue_ms == pytest.approx(150.0)
    assert controller.rate_kbps == pytest.approx(0.94 * 20.0)
    assert controller.target_kbps(3_600.0) < controller.rate_kbps


def mixed(now_ms: float, byte_ms: float, queue_ms: float = 0.0) -> Feedback:
    """Three packets, each byte of which takes so long on the slowest link; in every third report one is long."""
    of = feedback(now_ms, 0.0)
    sizes = (200, 205 if now_ms // 360 % 3 else 480, 210)
    samples = zip(of.samples, sizes, strict=True)
    return replace(
        of,
        samples=tuple(Sample(one.sent_ms, queue_ms + byte_ms * size, size) for one, size in samples),
        delivered_bytes=sum(sizes),
        sent_bytes=sum(sizes),
    )


@pytest.mark.parametrize("byte_ms", [0.0, 8.0 / 20.0])
def test_longer_packets_are_no_queue_of_the_others_nor_are_they_one(byte_ms: float) -> None:
    """On a fast path a stall that was no queue leaves a capacity that is none; on a path of 20 kbit/s there is one."""
    controller = RateController()
    controller.on_feedback(mixed(0.0, byte_ms), 0.0)
    controller.on_feedback(mixed(360.0, byte_ms, queue_ms=200.0), 360.0)
    assert controller.limited
    for now_ms in range(720, 5_000, 360):
        controller.on_feedback(mixed(now_ms, byte_ms), now_ms)
        assert controller.queue_ms < 5.0
    controller.on_feedback(mixed(5_040.0, byte_ms, queue_ms=60.0), 5_040.0)
    assert controller.queue_ms == pytest.approx(60.0, abs=5.0)


def test_without_reports_less_and_less_is_sent_but_only_if_something_was() -> None:
    controller = RateController()
    for now_ms in range(0, 7_200, 360):
        controller.on_feedback(feedback(now_ms, 0.0, kbps=30.0), now_ms)
    before = controller.target_kbps(7_200.0)
    assert controller.target_kbps(60_000.0) == before
    controller.on_sent(60_000.0)
    assert controller.target_kbps(62_000.0) == before
    assert controller.target_kbps(65_000.0) < 0.7 * before
    assert controller.target_kbps(120_000.0) == 10.0


def test_a_call_that_talks_less_forgets_what_it_could_send() -> None:
    controller = RateController()
    for now_ms in range(0, 10_800, 360):
        controller.on_feedback(feedback(now_ms, 0.0, kbps=controller.target_kbps(now_ms)), now_ms)
    assert controller.rate_kbps > 100.0
    for now_ms in range(10_800, 130_000, 360):
        controller.on_feedback(feedback(now_ms, 0.0, kbps=20.0), now_ms)
    assert controller.app_limited
    assert controller.rate_kbps <= 41.5


def test_the_bench_writes_what_it_plots(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("avcall.bench.rate_control.CASES", {"short": lambda: _short()})
    told: list[str] = []
    results = measure_rate_control(told.append)
    assert told == [told[0]]
    assert told[0].startswith("short")
    (case,) = results["cases"]
    assert [part["capacity_kbps"] for part in case["stretches"]] == [20.0, 40.0]
    assert len(case["target_kbps"][0]) == 16
    assert 2_000.0 < case["first_pivot_ms"][0] < 8_000.0
    page = tmp_path / "page.html"
    write_page({**results, "command": "a <command>"}, page)
    assert page.read_text().count("<svg") == 1
    assert "a &lt;command&gt;" in page.read_text()


def _short() -> Scene:
    scene = Scene(16.0, in_seconds((0, 20), (8, 40)))
    scene.add(scene.bottleneck())
    return scene


@pytest.mark.parametrize(("kbps", "within_ms"), [(20, 6_000.0), (30, 2_500.0), (50, 1_700.0), (100, 1_300.0)])
def test_the_first_pivot_soon_has_what_the_path_carries(kbps: int, within_ms: float) -> None:
    there_ms = flow(f"bottleneck of {kbps}").log.first_pivot_ms
    assert there_ms is not None
    assert there_ms <= within_ms


@pytest.mark.parametrize("kbps", STEADY_KBPS)
def test_the_train_that_finds_out_makes_no_long_queue(kbps: int) -> None:
    early = [queue_ms for at_ms, queue_ms in flow(f"bottleneck of {kbps}").log.queue_ms if at_ms < 2_000.0]
    assert max(early) <= 150.0


def test_what_a_train_shows_is_for_the_first_pivot_until_something_stands_in_the_way() -> None:
    controller = RateController()
    controller.on_feedback(feedback(0.0, 0.0, kbps=15.0), 0.0)
    assert controller.start_kbps(0.0) == controller.target_kbps(0.0)
    assert controller.unprobed(-360.0)
    assert not controller.unprobed(1.0)  # nothing sent since has been reported
    controller.on_feedback(replace(feedback(100.0, 0.0, kbps=15.0), fastest_kbps=50.0), 100.0)
    assert controller.start_kbps(100.0) == pytest.approx(60.0)
    assert controller.target_kbps(100.0) < 20.0
    assert not controller.unprobed(-360.0)
    controller.on_feedback(replace(feedback(150.0, 0.0, kbps=15.0), fastest_kbps=900.0), 150.0)
    assert controller.start_kbps(150.0) == 100.0  # the most that is believed of a train
    controller.on_feedback(feedback(500.0, 200.0, kbps=40.0), 500.0)
    assert controller.start_kbps(500.0) == controller.target_kbps(500.0) < 40.0


def test_a_path_that_a_train_has_measured_gets_no_other_train() -> None:
    controller = RateController()
    controller.on_feedback(replace(feedback(100.0, 0.0, kbps=12.0), fastest_kbps=12.0), 100.0)
    assert controller.unprobed(float("-inf"))
    assert not controller.unprobed(-200.0)  # what was sent since then was measured: the path is thin
    controller.on_feedback(feedback(500.0, 0.0, kbps=12.0), 500.0)
    assert controller.unprobed(200.0)  # something of it was lost


def test_a_beginning_that_sends_less_than_it_may_learns_nothing() -> None:
    controller = RateController()
    for now_ms in range(0, 2_000, 200):
        controller.on_feedback(feedback(now_ms, 0.0, kbps=10.5), now_ms)
    assert controller.app_limited
    assert controller.rate_kbps == pytest.approx(15.0)
