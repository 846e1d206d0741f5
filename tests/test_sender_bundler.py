"""What goes together in a bundle, and when it leaves."""

from __future__ import annotations

import numpy as np

from avcall.common import bundle_format, keypoint_coder, wire
from avcall.common.keypoints import COUNT, Keypoints
from avcall.common.wire import Bundle, KeypointPacket, Packet, VoicePacket
from avcall.sender.bundler import Bundler, even

PIVOT = (np.arange(20, dtype=np.float32).reshape(COUNT, 2) - 10) / 16


def pose(number: int, *, pivot_id: int = 3, capture_ms: int | None = None, face_lost: bool = False) -> KeypointPacket:
    time_ms = 1000 + 40 * number if capture_ms is None else capture_ms
    keypoints: Keypoints = PIVOT + np.float32(number / 256)
    return KeypointPacket(number, time_ms % 2**32, pivot_id, keypoints, face_lost)


def voice(number: int, size: int = 30, capture_ms: int | None = None) -> VoicePacket:
    return VoicePacket(number, 1000 + 60 * number if capture_ms is None else capture_ms, bytes(size))


def feed(bundler: Bundler, poses: list[KeypointPacket]) -> list[Packet]:
    return [sent for packet in poses for sent in bundler.pose(packet, PIVOT, float(packet.capture_ms))]


def frames(packets: list[Packet]) -> list[int]:
    return [len(packet.capture_ms) for packet in packets if isinstance(packet, Bundle)]


def test_a_span_of_voice_ends_a_bundle() -> None:
    bundler = Bundler(120.0, 25.0)
    assert bundler.pose(pose(0), PIVOT, 1000.0) == []
    assert bundler.voice(voice(0), 60.0, 1001.0) == []
    assert bundler.pose(pose(1), PIVOT, 1040.0) == []
    assert bundler.pose(pose(2), PIVOT, 1080.0) == []
    assert bundler.due_ms == 1145.0
    (bundle,) = bundler.voice(voice(1), 60.0, 1081.0)
    assert isinstance(bundle, Bundle)
    assert (bundle.sequence, bundle.pivot_id, bundle.capture_ms) == (0, 3, (1000, 1040, 1080))
    assert bundle.voice == (voice(0), voice(1))
    found, _ = keypoint_coder.decode(bundle.coded, 3, PIVOT)
    assert all(np.array_equal(found[i], pose(i).keypoints) for i in range(3))
    assert bundler.due_ms is None


def test_without_voice_the_number_of_frames_ends_it() -> None:
    bundler = Bundler(120.0, 25.0)
    assert frames(feed(bundler, [pose(i) for i in range(7)])) == [3, 3]
    assert bundler.due_ms == 1240.0 + 120.0


def test_it_is_known_before_which_pose_may_be_the_last() -> None:
    bundler = Bundler(120.0, 25.0)
    told = []
    for number in range(7):
        told.append(bundler.closing)
        bundler.pose(pose(number), PIVOT, 1000.0 + 40 * number)
    assert told == [False, False, True, False, False, True, False]
    bundler.flush()
    bundler.voice(voice(0), 60.0, 1250.0)
    assert not bundler.closing
    bundler.voice(voice(1), 60.0, 1310.0)
    assert bundler.closing  # its span of voice is complete


def test_a_voice_that_stops_holds_nothing_up() -> None:
    bundler = Bundler(120.0, 25.0)
    feed(bundler, [pose(0)])
    bundler.voice(voice(0), 120.0, 1010.0)
    sent = feed(bundler, [pose(i) for i in range(1, 13)])
    assert frames(sent) == [4, 3, 3]  # one more while a voice may still come


def test_a_full_bundle_waits_a_little_for_voice_that_is_being_coded() -> None:
    bundler = Bundler(120.0, 25.0)
    feed(bundler, [pose(0)])
    assert frames(bundler.voice(voice(0), 120.0, 1010.0)) == [1]
    assert feed(bundler, [pose(1), pose(2)]) == []
    assert bundler.pose(pose(3), PIVOT, 1134.0) == []  # the voice is 4 ms late
    (bundle,) = bundler.voice(voice(2), 120.0, 1135.0)
    assert isinstance(bundle, Bundle)
    assert (bundle.sequence, bundle.voice) == (1, (voice(2),))


def test_voice_that_missed_its_bundle_leaves_with_the_next_pose() -> None:
    bundler = Bundler(120.0, 25.0)
    feed(bundler, [pose(0)])
    bundler.voice(voice(0), 120.0, 1010.0)
    assert frames(feed(bundler, [pose(1), pose(2), pose(3), pose(4)])) == [4]
    assert bundler.voice(voice(2), 120.0, 1170.0) == []  # 40 ms late
    (bundle,) = feed(bundler, [pose(5)])
    assert isinstance(bundle, Bundle)
    assert (bundle.sequence, bundle.voice) == (5, (voice(2),))
    assert feed(bundler, [pose(6)]) == []  # what comes after waits for its own voice again


def test_the_span_can_be_set_within_bounds() -> None:
    bundler = Bundler(120.0, 25.0)
    for span_ms, kept in ((200.0, 200.0), (20.0, 40.0), (1000.0, 200.0)):
        bundler.span_ms = span_ms
        assert bundler.span_ms == kept
    assert frames(feed(bundler, [pose(i) for i in range(10)])) == [5, 5]


def test_times_that_are_nearly_even_are_sent_as_even() -> None:
    assert even([0, 40, 80]) == (0, 40, 80)
    assert even([2**32 - 40, 1, 41, 79]) == (2**32 - 40, 0, 40, 80)
    assert even([0, 43, 80]) == (0, 43, 80)
    assert even([7]) == (7,)
    assert even([7, 48]) == (7, 48)


def test_a_copy_of_the_middle_of_the_last_bundle() -> None:
    bundler = Bundler(120.0, 25.0)
    bundler.copies = True
    first, second = feed(bundler, [pose(i) for i in range(6)])
    assert isinstance(first, Bundle)
    assert isinstance(second, Bundle)
    assert first.copy is None
    assert second.copy is not None
    assert second.copy.back_ms == 80
    near = keypoint_coder.decode(second.coded, 3, PIVOT)[0][0]
    copied = keypoint_coder.decode_copy(second.copy.coded, near)
    assert np.abs(copied - pose(1).keypoints).max() <= 4.01 * keypoint_coder.STEP / 2
    (other,) = feed(bundler, [pose(6, pivot_id=4, face_lost=True)])
    assert isinstance(other, Bundle)
    assert other.copy is None  # of another pivot's frame it would say nothing


def test_what_rides_along() -> None:
    ack = wire.pack(wire.PivotAck(3, frozenset({0, 1})))
    bundler = Bundler(120.0, 25.0)
    assert bundler.attach(ack, 0.0) == [wire.parse(ack)]  # no bundle is coming
    feed(bundler, [pose(0)])
    assert bundler.attach(ack, 1010.0) == []
    (bundle,) = feed(bundler, [pose(1), pose(2)])
    assert isinstance(bundle, Bundle)
    assert bundle.attached == (ack,)
    assert bundler.attach(ack, 1090.0) == []  # the next one is expected
    assert bundler.due_ms == 1210.0
    assert bundler.flush() == [wire.parse(ack)]  # but did not come
    for _ in range(bundle_format.MAX_ATTACHED - 1):
        assert bundler.attach(ack, 1100.0) == []
    assert len(bundler.attach(ack, 1100.0)) == bundle_format.MAX_ATTACHED


def test_every_span_has_its_frames() -> None:
    assert frames(feed(Bundler(40.0, 25.0), [pose(i) for i in range(6)])) == [1] * 6
    assert frames(feed(Bundler(200.0, 25.0), [pose(i) for i in range(10)])) == [5, 5]


def test_frames_that_come_slowly_do_not_wait_longer_than_the_span() -> None:
    bundler = Bundler(120.0, 25.0)
    feed(bundler, [pose(0)])
    assert bundler.due_ms == 1120.0
    assert frames(bundler.flush()) == [1]
    assert bundler.flush() == []


def test_another_pivot_begins_another_bundle() -> None:
    bundler = Bundler(120.0, 25.0)
    sent = feed(bundler, [pose(0), pose(1), pose(2, pivot_id=4)])
    assert frames(sent) == [2]
    assert frames(bundler.flush()) == [1]


def test_a_lost_face_is_told_at_once() -> None:
    sent = feed(Bundler(120.0, 25.0), [pose(0), pose(1, face_lost=True)])
    (bundle,) = sent
    assert isinstance(bundle, Bundle)
    assert bundle.face_lost
    assert len(bundle.capture_ms) == 2


def test_times_that_a_bundle_cannot_hold_begin_another() -> None:
    bundler = Bundler(120.0, 25.0)
    assert frames(feed(bundler, [pose(0), pose(1, capture_ms=1000)])) == [1]
    assert frames(feed(bundler, [pose(2, capture_ms=1256)])) == [1]
    around = [pose(0, capture_ms=2**32 - 40), pose(1, capture_ms=0), pose(2, capture_ms=40)]
    assert frames(feed(Bundler(120.0, 25.0), around)) == [3]


def test_voice_without_poses_is_not_held_back() -> None:
    bundler = Bundler(120.0, 25.0)
    assert bundler.voice(voice(0), 60.0, 5000.0) == [voice(0)]
    feed(bundler, [pose(0), pose(1), pose(2), pose(3)])
    assert bundler.voice(voice(1), 60.0, 1090.0) == []  # more poses are expected
    assert bundler.due_ms == 1235.0
    assert bundler.flush() == [voice(1)]


def test_voice_that_does_not_fit_goes_alone() -> None:
    large = [voice(number, size=600) for number in range(2)]
    bundler = Bundler(120.0, 25.0)
    feed(bundler, [pose(0)])
    sent = [*bundler.voice(large[0], 20.0, 1000.0), *bundler.voice(large[1], 20.0, 1000.0), *bundler.flush()]
    assert frames(sent) == [1]
    assert sent[1:] == large
    assert all(len(wire.pack(packet)) <= wire.MTU_BYTES for packet in sent)


def test_voice_with_a_gap_begins_another_bundle() -> None:
    bundler = Bundler(120.0, 25.0)
    feed(bundler, [pose(0)])
    assert bundler.voice(voice(0), 20.0, 1000.0) == []
    (bundle,) = bundler.voice(voice(2), 20.0, 1000.0)
    assert isinstance(bundle, Bundle)
    assert bundle.voice == (voice(0),)
    assert bundler.flush() == [voice(2)]


def test_voice_from_far_away_goes_alone() -> None:
    bundler = Bundler(120.0, 25.0)
    feed(bundler, [pose(0)])
    odd = voice(0, capture_ms=60_000)
    assert bundler.voice(odd, 20.0, 1000.0) == []
    sent = bundler.flush()
    assert frames(sent) == [1]
    assert sent[1:] == [odd]


def test_what_is_in_a_hurry_leaves_with_the_next_pose() -> None:
    ack = wire.pack(wire.PivotAck(3, frozenset({0})))
    bundler = Bundler(200.0, 25.0)
    assert frames(feed(bundler, [pose(0)])) == []
    assert frames(bundler.attach(ack, 1010.0, hurry=True)) == [1]
    assert bundler.attach(ack, 1020.0, hurry=True) == []  # nothing waits: a bundle of nothing else would be dear
    (bundle,) = bundler.pose(pose(1), PIVOT, 1040.0)
    assert isinstance(bundle, Bundle)
    assert bundle.attached == (ack,)
    assert frames(feed(bundler, [pose(2), pose(3)])) == []
    assert bundler.has_poses


def test_fewer_poses_a_second_make_no_more_bundles() -> None:
    bundler = Bundler(200.0, 25.0)
    bundler.fps = 12.5
    spoken = [(1100.0 + 100.0 * number, number) for number in range(20)]
    seen = [(1010.0 + 80.0 * number, number) for number in range(25)]
    packets: list[Packet] = []
    for now_ms, number in sorted([*spoken, *seen]):
        if (now_ms, number) in spoken:
            packets += bundler.voice(voice(number, capture_ms=round(now_ms) - 100), 100.0, now_ms)
        else:
            packets += bundler.pose(pose(number, capture_ms=round(now_ms) - 10), PIVOT, now_ms)
    assert 9 <= len(packets) <= 10  # two seconds
    assert all(isinstance(packet, Bundle) for packet in packets)
