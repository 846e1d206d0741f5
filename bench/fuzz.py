"""`avcall bench fuzz`: hostile messages against everything that takes bytes from a peer.

The messages of real-looking calls are truncated, lengthened, changed, spliced, replayed, put out of order by seconds,
and taken over into another session, between messages of pure noise; time goes on, stands still and leaps. What a call
drops has to be dropped as a ProtocolError; anything else, a case that takes long, or memory that grows is a failure.
"""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avcall.bench.fuzz_target import KNOWN_PIVOTS, Target
from avcall.bench.provenance import provenance
from avcall.common import bundle_format, control, keypoint_coder, wire
from avcall.common.control import Bye, Hello, Mute, Ping, PivotRequest, Pong
from avcall.common.errors import ProtocolError
from avcall.common.keypoints import COUNT
from avcall.common.pivot_format import PivotAck, PivotBody, PivotCodec, parity_slices, slice_pivot
from avcall.common.report_format import Earlier, Report
from avcall.common.wire import Bundle, CoarseCopy, KeypointPacket, Packet, VoicePacket
from avcall.sender.pivot_sender import RIDES_MOST_BYTES

SESSION_CASES = 5_000
"""A new pair of ends begins after so many."""
SLOW_S = 1.0
"""Of CPU time."""
REMEMBERED = 64
TICK_EVERY = 4
WARM_CASES = 20_000
"""Memory is counted from there on: libraries and caches have been filled."""


@dataclass
class Outcome:
    """What came of the cases."""

    cases: int = 0
    accepted: int = 0
    refused: int = 0
    slowest_ms: float = 0.0
    kinds: Counter[str] | None = None


def fuzz(cases: int, seed: int, told: Callable[[int], None] = lambda done: None) -> Outcome:
    """Throws so many messages at a `Target`.

    Raises:
        AssertionError: a case took longer than SLOW_S.
        Exception: whatever else the code under test raised.
    """
    outcome = Outcome(kinds=Counter())
    assert outcome.kinds is not None
    hostile = Hostile(seed)
    target, now_ms = Target(), 0.0
    for number in range(cases):
        if number % SESSION_CASES == 0:
            target, now_ms = Target(), hostile.random.uniform(0.0, 1e10)
        now_ms += hostile.step_ms()
        kind, on_control, data = hostile.case(target, now_ms)
        begin_s = time.process_time()
        try:
            (target.message if on_control else target.media)(data, now_ms)
            outcome.accepted += 1
        except ProtocolError:
            outcome.refused += 1
        if number % TICK_EVERY == 0:
            target.play(now_ms)
        took_s = time.process_time() - begin_s
        if took_s > SLOW_S:
            raise AssertionError(f"case {number} of seed {seed} ({kind}) took {took_s:.1f} s")
        outcome.slowest_ms = max(outcome.slowest_ms, 1000 * took_s)
        outcome.kinds[kind] += 1
        outcome.cases += 1
        if number % 1000 == 0:
            told(number)
    return outcome


def measure_fuzz(cases: int, seed: int, told: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """The results of `avcall bench fuzz`, but for its "command"."""
    begin_s = time.perf_counter()
    memory: list[float] = []

    def note(done: int) -> None:
        if done >= min(WARM_CASES, cases // 2):
            memory.append(resident_mb())
        if done and done % 50_000 == 0:
            told(f"{done} cases, {done / (time.perf_counter() - begin_s):.0f} a second, {resident_mb():.0f} MB")

    outcome = fuzz(cases, seed, note)
    memory.append(resident_mb())
    elapsed_s = time.perf_counter() - begin_s
    return {
        **provenance(),
        "clips": ["none: made messages"],
        "cases": outcome.cases,
        "seed": seed,
        "accepted": outcome.accepted,
        "refused": outcome.refused,
        "crashes": 0,
        "slowest_ms": round(outcome.slowest_ms, 1),
        "cases_a_second": round(cases / elapsed_s),
        "memory_mb": {"begin": round(memory[0], 1), "peak": round(max(memory), 1), "end": round(memory[-1], 1)},
        "kinds": dict(sorted((outcome.kinds or {}).items())),
    }


def resident_mb() -> float:
    """Memory that this process holds (Linux; 0 elsewhere)."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * 4096 / 1e6 if statm.exists() else 0.0


class Hostile:
    """Makes messages, good ones and others, always the same for a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._points = np.random.default_rng(seed)
        self._recent: deque[bytes] = deque(maxlen=REMEMBERED)
        self._sequence = self._pivot_id = 0
        self._slices: Iterator[bytes] = iter(())
        poses = [self._keypoints() * np.float32(0.1) for _ in range(bundle_format.MAX_BUNDLE_FRAMES)]
        self._coded = {count: keypoint_coder.encode(poses[:count], poses[0]) for count in range(1, len(poses) + 1)}

    def step_ms(self) -> float:
        """Mostly a packet's distance, sometimes nothing, seldom minutes."""
        draw = self.random.random()
        return 0.0 if draw < 0.2 else 40.0 if draw < 0.97 else self.random.choice((3e3, 3e4, 1e6))

    def case(self, target: Target, now_ms: float) -> tuple[str, bool, bytes]:
        """(what was done, whether it is a control message, the bytes)."""
        on_control = self.random.random() < 0.15
        good = control.pack(self._message(now_ms)) if on_control else self._media(target, now_ms)
        how = self.random.choice(_HOW)
        data = how(self, good)
        if not on_control:
            self._recent.append(good)
        return how.__name__.strip("_"), on_control, data

    def _media(self, target: Target, now_ms: float) -> bytes:
        packet = self.random.choice(_PACKETS)(self, now_ms)
        if isinstance(packet, bytes):
            return packet
        data = wire.pack(packet)
        target.sent(packet, len(data), now_ms)
        return data

    # good messages

    def _capture_ms(self, now_ms: float) -> int:
        off_ms = self.random.choice((0, 0, 0, 0, -40, 100, -5_000, 30_000, 2**31))
        return round(now_ms + off_ms) % 2**32

    def _keypoints(self) -> Any:
        return self._points.uniform(-1, 1, (COUNT, 2)).astype(np.float32)

    def _pose(self, now_ms: float) -> Packet:
        self._sequence = (self._sequence + 1) % 2**16
        return KeypointPacket(self._sequence, self._capture_ms(now_ms), self.random.randrange(6), self._keypoints())

    def _speech(self, now_ms: float) -> VoicePacket:
        self._sequence = (self._sequence + 1) % 2**16
        opus = bytes([self.random.choice((8, 12, 16, 104, 123, 3))]) + self.random.randbytes(
            self.random.randrange(1, 90)
        )
        return VoicePacket(self._sequence, self._capture_ms(now_ms), opus, self.random.random() < 0.1)

    def _bundle(self, now_ms: float) -> Packet:
        speech, start = self._speech(now_ms), self._capture_ms(now_ms)
        count = self.random.choice((1, 1, 2, 3, bundle_format.MAX_BUNDLE_FRAMES))
        times = tuple((start + 40 * number) % 2**32 for number in range(count))
        near = abs(bundle_format.offset_ms(speech.capture_ms, start)) <= bundle_format.MAX_VOICE_OFFSET_MS
        coded = self._coded[count] if self.random.random() < 0.5 else self.random.randbytes(4 + 3 * count)
        riding: tuple[bytes, ...] = (wire.pack(self._report(now_ms)),) if self.random.random() < 0.3 else ()
        if self.random.random() < 0.3 and len(part := self._slice(now_ms)) <= RIDES_MOST_BYTES:
            riding += (part,)
        pivot_id = self.random.randrange(3 * len(KNOWN_PIVOTS))
        copy = None
        if self.random.random() < 0.4:
            copy = CoarseCopy(self.random.randrange(1, 256), self.random.randbytes(self.random.randrange(12)))
        return Bundle(self._sequence, times, pivot_id, coded, (speech,) if near else (), False, copy, riding)

    def _report(self, now_ms: float) -> Packet:
        earlier = tuple(
            Earlier(self.random.randrange(1, 256), self.random.randrange(-128, 128))
            for _ in range(self.random.randrange(5))
        )
        numbers = (self.random.randrange(2**16) for _ in range(2))
        return Report(round(now_ms) % 2**16, *(next(numbers), self.random.randrange(256), next(numbers), 0), earlier)

    def _ack(self, now_ms: float) -> Packet:
        del now_ms
        return PivotAck(self._pivot_id, frozenset(self.random.sample(range(64), self.random.randrange(8))))

    def _slice(self, now_ms: float) -> bytes:
        data = next(self._slices, None)
        if data is None:
            self._pivot_id = (self._pivot_id + 1) % 2**16
            picture = self.random.randbytes(self.random.randrange(1, 3_000))
            chain = self.random.randrange(2), self.random.randrange(3)
            codec = self.random.choice(tuple(PivotCodec))
            at_ms = self._capture_ms(now_ms)
            place = chain if codec is PivotCodec.AV1_CHAIN else (0, 0)
            body = PivotBody(codec, 64, 64, at_ms, self._keypoints(), picture, *place)
            slices = slice_pivot(self._pivot_id, body, self.random.choice((120, 400, 1_088)))
            self._slices = iter([wire.pack(part) for part in (*slices, *parity_slices(slices, 2))])
            data = next(self._slices)
        return data

    def _message(self, now_ms: float) -> control.Message:
        hello = Hello(2, "1", "m", "0" * 8, 10, 256, 25.0, sends=True, receives=True, voice=True)
        sent_ms = self.random.choice((now_ms, 0.0, -1e14, 1e14))
        return self.random.choice(
            (hello, Ping(sent_ms), Pong(sent_ms, now_ms), Bye("x"), Mute(voice=True, video=False), PivotRequest())
        )

    # and what becomes of them

    def _unchanged(self, data: bytes) -> bytes:
        return data

    def _truncated(self, data: bytes) -> bytes:
        return data[: self.random.randrange(len(data))]

    def _lengthened(self, data: bytes) -> bytes:
        return data + self.random.randbytes(self.random.choice((1, 7, 200, 2_000)))

    def _changed(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self.random.choice((1, 1, 2, 8))):
            at = self.random.randrange(len(changed))
            changed[at] = self.random.choice((changed[at] ^ 1 << self.random.randrange(8), 0, 255, 128, 127))
        return bytes(changed)

    def _spliced(self, data: bytes) -> bytes:
        other = self._replayed(data)
        return data[: self.random.randrange(len(data))] + other[self.random.randrange(len(other)) :]

    def _replayed(self, data: bytes) -> bytes:
        return self.random.choice(self._recent) if self._recent else data

    def _noise(self, data: bytes) -> bytes:
        return data[:1] + self.random.randbytes(self.random.choice((0, 1, 11, 100, 1_099)))


_HOW: tuple[Callable[[Hostile, bytes], bytes], ...] = (
    Hostile._unchanged,
    Hostile._unchanged,
    Hostile._truncated,
    Hostile._lengthened,
    Hostile._changed,
    Hostile._changed,
    Hostile._spliced,
    Hostile._replayed,
    Hostile._noise,
)
_PACKETS: tuple[Callable[[Hostile, float], Packet | bytes], ...] = (
    Hostile._pose,
    Hostile._speech,
    Hostile._bundle,
    Hostile._report,
    Hostile._ack,
    Hostile._slice,
    Hostile._slice,
)
