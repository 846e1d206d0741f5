"""How much may be sent: a target rate on the wire, from receiver reports. Sans-IO.

Delay first: the one-way delay above the smallest seen lately is the queue (the offset of the two clocks cancels, as
in LEDBAT, RFC 6817; NADA, RFC 8698, takes the same signal). When the queue stands, the network delivers what it can:
that is its capacity, and the rate falls below it (as in GCC, draft-ietf-rmcat-gcc-02 section 5.5). Until the queue
has drained, still less is sent, in proportion to the queue (SCReAM, RFC 8298, scales its rate by it too). In between
the rate grows by a constant a second, which is what makes equal flows fair (Chiu and Jain, 1989), and faster when
nothing has stood in its way for long (as in CUBIC, RFC 9438).

Loss second: losses without a queue are those of a policer, or random. One step below what was delivered tells them
apart: a policer's losses stop, random ones go on, and are then no reason to send less, but to repeat more.

A sender that has little to say learns little: the rate grows only while it is used, never beyond ROOM times what was
delivered, and what was learnt long ago is slowly forgotten (compare RFC 7661).
"""

from __future__ import annotations

import math
from collections import deque
from enum import Enum

from avcall.sender.rate_control_allowance import FIRST_SLICE_BYTES, MESSAGE_BYTES
from avcall.sender.rate_control_feedback import Feedback, Sample, more_a_byte
from avcall.sender.rate_control_losses import Losses, Verdict

MIN_KBPS, MAX_KBPS, START_KBPS = 10.0, 500.0, 15.0
OVERUSE_MS, OVERUSE_BITS, CALM = 25.0, 1260.0, 0.6
"""Less is sent with a queue over OVERUSE_MS plus the time that OVERUSE_BITS take at the present rate, more with one
under CALM times that: the faster of two flows in one queue is the first to yield (in NADA too the delay at which a
flow rests falls with its rate), and one large packet is no queue."""
START_OVERUSE_MS = 23.0
SUDDEN_MS, START_SUDDEN_MS = (160.0, 80.0), (120.0, 35.0)
"""One packet, or two in a row, this late need no third."""
BETA = 0.94
"""Of the capacity found, after overuse."""
DRAIN_MS = 850.0
"""The queue is drained within about this time."""
START_GROWTH = 2.2
"""A second, until something stands in the way."""
STEP_KBPS = 0.8
"""A second, after that."""
PATIENCE_MS, SPEED_UP = (4_500.0, 7_500.0), (0.1, 0.35)
"""Without overuse for so long, the rate also grows by this part of itself a second."""
USED = 0.75
"""Of the target: whoever sends less is limited by what it has to say."""
ROOM, ROOM_KBPS = 1.5, 10.0
"""So many times what was carried, and so much more, may be tried."""
START_ROOM, START_ROOM_A_KBPS, START_ROOM_MOST = 1.2, 1.0 / 300.0, 1.4
"""The same in the beginning, the more the faster: on a thin link reports are rarer, and too much lasts longer."""
PROBED_MOST_KBPS, PROBED_TRIED = 100.0, 1.2
"""No more is believed of one train of packets: what holds a rate often lets the first of them pass. Up to that, so many
times what was seen is tried."""
TRAIN_KBPS = 20.0
"""Without a train no more than that is seen at first."""
OWN_SLICE_MS = 70.0
BURST_KBPS = 40.0
"""More is not believed because of the first pivot alone, which leaves faster than the rate: the call may need less."""
FORGET_MS = 20_000.0
BASE_WINDOW_MS = 30_000.0
RATE_WINDOW_MS = 600.0
LOSS_AFTER_MS = 2_000.0
"""Losses so soon after overuse are those of a full queue."""
TESTED_FROM_KBPS = 20.0
"""There is no sending less than that for the sake of knowing, nor where less is sent anyway: losses are then taken
for chance."""
MOST_LOST = 0.5
SILENT_MS = 2_400.0
"""Without reports for so long, the way there or back is gone or full."""
SILENT_FALL, SILENT_LEAVES = 0.8, 0.7
"""A second; and of the rate when reports come again."""
PAUSE_MS, PAUSED = 5_000.0, 0.6
"""After a pause of so long, this part of the rate is left: others have taken the room."""
STUCK_AFTER = 4
"""So many decreases that did not shorten the queue, and it is the path that has become longer."""


class State(Enum):
    """What the controller is doing."""

    START = "start"
    GROW = "grow"
    HOLD = "hold"
    DRAIN = "drain"
    SILENT = "silent"


class RateController:
    """Give it feedback; read `target_kbps`. Rates are kbit/s on the wire, headers and acknowledgements included."""

    def __init__(
        self, *, min_kbps: float = MIN_KBPS, max_kbps: float = MAX_KBPS, start_kbps: float = START_KBPS
    ) -> None:
        self._min_kbps, self._max_kbps = min_kbps, max_kbps
        self._rate = min(max(start_kbps, min_kbps), max_kbps)
        self._samples: deque[Sample] = deque()
        self._delivered: deque[Feedback] = deque()
        self._sent_kbps = 0.0
        self._heard_ms: float | None = None
        self._unanswered_ms: float | None = None
        self._congested_ms = self._decreased_ms = float("-inf")
        self._targets: deque[tuple[float, float]] = deque(maxlen=32)
        self._stepped_from = 0.0
        self._capacity_kbps: float | None = None
        self._stuck: list[float] = []
        self._late_ms: list[float] = []
        self._losses = Losses()
        self._starting = True
        self._probed_kbps, self._burst_ms = 0.0, float("-inf")
        self._measured_ms = float("-inf")
        """What was sent up to then was measured: nothing of it was lost."""
        self.state = State.START
        self.queue_ms = 0.0
        self.delivered_kbps = 0.0
        self.rtt_ms: float | None = None
        self.app_limited = False

    @property
    def loss(self) -> float:
        """The part of the packets that is lost, of late."""
        return self._losses.recent

    @property
    def rate_kbps(self) -> float:
        """What the path is believed to carry for this flow."""
        return self._rate

    @property
    def limited(self) -> bool:
        """The rate is what it is because something stood in its way, or the most that is allowed; not because nothing
        is known yet."""
        return not self._starting or self._rate >= self._max_kbps

    def target_kbps(self, now_ms: float) -> float:
        """What to send now, everything counted."""
        silent_ms = self._silent_ms(now_ms)
        if silent_ms > 0.0:
            self.state = State.SILENT
            return max(self._min_kbps, self._rate * math.pow(SILENT_FALL, 1.0 + silent_ms / 1000.0))
        drain = max(0.5, 1.0 - max(0.0, self.queue_ms - CALM * self._overuse_ms) / DRAIN_MS)
        return max(self._min_kbps, self._rate * drain)

    def start_kbps(self, now_ms: float) -> float:
        """The same for the first pivot, which is soon over: until something stands in the way, as much as the path has
        carried for a moment."""
        target_kbps = self.target_kbps(now_ms)
        tried_kbps = min(PROBED_TRIED * self._probed_kbps, PROBED_MOST_KBPS, self._max_kbps)
        if tried_kbps <= target_kbps:
            return target_kbps
        self._burst_ms = now_ms
        return tried_kbps

    def unprobed(self, since_ms: float) -> bool:
        """Nothing is known yet about what the path carries, although packets sent from `since_ms` on were reported:
        they were not measured."""
        if not self._starting or self._probed_kbps > self._rate:
            return False
        if since_ms == float("-inf"):
            return True
        return bool(self._samples) and self._samples[-1].sent_ms >= since_ms > self._measured_ms

    def on_sent(self, now_ms: float) -> None:
        """Something was sent that a report will be about."""
        if self._unanswered_ms is None:
            self._unanswered_ms = now_ms

    def _silent_ms(self, now_ms: float) -> float:
        """For how long a report is overdue; negative while none is. Who sends nothing waits for nothing."""
        if self._unanswered_ms is None or self._heard_ms is None:
            return -SILENT_MS
        return now_ms - self._unanswered_ms - SILENT_MS

    def on_feedback(self, feedback: Feedback, now_ms: float) -> None:
        """One report. Reports may come at any pace."""
        if self._silent_ms(now_ms) > 0.0:
            self._rate = max(self.target_kbps(now_ms), SILENT_LEAVES * self._rate)
        elif self._heard_ms is not None and now_ms - self._heard_ms > PAUSE_MS:
            self._rate = max(START_KBPS, PAUSED * self._rate)
        self._unanswered_ms = None
        elapsed_s = 0.0 if self._heard_ms is None else min(now_ms - self._heard_ms, 1_000.0) / 1000.0
        self._heard_ms = now_ms
        self.rtt_ms = feedback.rtt_ms if self.rtt_ms is None else 0.8 * self.rtt_ms + 0.2 * feedback.rtt_ms
        if self._starting and feedback.fastest_kbps > 0.0:
            self._probed_kbps = max(self._probed_kbps, feedback.fastest_kbps)
            self._measured_ms = feedback.samples[-1].sent_ms
        self._measure(feedback)
        self.app_limited = self._sent_kbps < USED * self._asked_kbps(feedback)
        if self._overused():
            self._decrease(now_ms)
        elif self._lost_too_much(feedback, now_ms):
            self.state = State.DRAIN
        elif self.queue_ms < CALM * self._overuse_ms and not self._losses.testing:
            self._grow(elapsed_s, now_ms)
        else:
            self.state = State.HOLD
        if self.app_limited:
            self._forget(elapsed_s)
        self._rate = min(max(self._rate, self._min_kbps), self._max_kbps)
        self._targets.append((now_ms, self.target_kbps(now_ms)))

    @property
    def _arrived_or_lost_kbps(self) -> float:
        return self.delivered_kbps / (1.0 - min(self._losses.recent, MOST_LOST))

    @property
    def _carried_kbps(self) -> float:
        """What was delivered and what was lost, not by too much of it, on the way."""
        return self.delivered_kbps / (1.0 - self._losses.floor)

    def _asked_kbps(self, feedback: Feedback) -> float:
        """The target at the time when the packets were sent that the delivered rate is made of."""
        middle_ms = feedback.samples[-1].sent_ms - RATE_WINDOW_MS / 2
        before = [target for at_ms, target in self._targets if at_ms <= middle_ms]
        return before[-1] if before else self._targets[0][1] if self._targets else 0.0

    def _lost_too_much(self, feedback: Feedback, now_ms: float) -> bool:
        """Takes the step down that tells a policer from chance, and takes it back where it was chance."""
        verdict = self._losses.take(feedback)
        if verdict is Verdict.ALARM and (self._rate < TESTED_FROM_KBPS or self.app_limited):
            self._losses.floor = self._losses.loss
        elif verdict is Verdict.ALARM and now_ms - self._congested_ms > LOSS_AFTER_MS:
            self._stepped_from = self._rate
            self._rate = min(self._rate, BETA * self.delivered_kbps)
            self._losses.test(now_ms)
            return True
        if verdict is Verdict.CHANCE:
            self._rate = max(self._rate, self._stepped_from)
        elif verdict is Verdict.POLICED:
            self._note_congestion(now_ms)
        return False

    def _measure(self, feedback: Feedback) -> None:
        self._samples.extend(feedback.samples)
        while self._samples and feedback.samples[-1].sent_ms - self._samples[0].sent_ms > BASE_WINDOW_MS:
            self._samples.popleft()
        if feedback.delivered_ms > 0.0:
            self._delivered.append(feedback)
        while len(self._delivered) > 1 and sum(f.delivered_ms for f in list(self._delivered)[1:]) >= RATE_WINDOW_MS:
            self._delivered.popleft()
        took_ms = sum(f.delivered_ms for f in self._delivered)
        if took_ms > 0.0:
            self.delivered_kbps = 8.0 * sum(f.delivered_bytes for f in self._delivered) / took_ms
            self._sent_kbps = 8.0 * sum(f.sent_bytes for f in self._delivered) / took_ms
        byte_ms = self._byte_ms()
        past_ms = [sample.transit_ms - byte_ms * sample.size_bytes for sample in self._samples]
        self._late_ms = [ms - min(past_ms) for ms in past_ms[-3:]]
        self.queue_ms = min(self._late_ms)

    def _byte_ms(self) -> float:
        """What each byte of a packet takes on the slowest link, once that link's capacity was seen, or guessed by a
        train: a longer packet is no queue. For a faster link it would be too much, so it follows the rate; and it is
        never more than longer packets were seen to take more than others, for a capacity may be wrong, and what was
        subtracted for nothing would look like a queue of all others."""
        capacity_kbps = self._capacity_kbps
        if capacity_kbps is None and self._probed_kbps > TRAIN_KBPS:
            capacity_kbps = PROBED_TRIED * self._probed_kbps
        if capacity_kbps is None:
            return 0.0
        most_ms = 8.0 / max(self._rate, capacity_kbps)
        seen_ms = more_a_byte([sample for sample in self._samples if sample.sent_ms > self._decreased_ms])
        if seen_ms is None:
            seen_ms = more_a_byte(self._samples)
        return most_ms if seen_ms is None else min(most_ms, seen_ms)

    @property
    def _overuse_ms(self) -> float:
        return START_OVERUSE_MS if self._starting else OVERUSE_MS + OVERUSE_BITS / self._rate

    def _overused(self) -> bool:
        late, own_ms = self._late_ms, self._own_slice_ms
        if self.queue_ms > self._overuse_ms + own_ms and len(late) == 3:
            return True
        one_ms, two_ms = START_SUDDEN_MS if self._starting else SUDDEN_MS
        return late[-1] > one_ms + own_ms or min(late[-2:]) > two_ms + own_ms

    @property
    def _own_slice_ms(self) -> float:
        """A slice of the first pivot, which leaves faster than the rate, may be in front of each packet: no queue. On
        thinner paths it counts, lest one be filled."""
        if self._samples[-1].sent_ms - self._burst_ms >= RATE_WINDOW_MS or self._probed_kbps <= TRAIN_KBPS:
            return 0.0
        slice_ms = 8.0 * (FIRST_SLICE_BYTES + MESSAGE_BYTES) / (PROBED_TRIED * self._probed_kbps)
        return slice_ms if slice_ms < OWN_SLICE_MS else 0.0

    def _decrease(self, now_ms: float) -> None:
        """Once for each queue: what was sent before the last decrease says nothing about it."""
        if self._samples[-1].sent_ms <= self._decreased_ms:
            self.state = State.DRAIN
            return
        self._capacity_kbps = self._carried_kbps or self._rate
        self._rate = min(self._rate, BETA * self._capacity_kbps)
        self._note_congestion(now_ms)
        self._stuck = [*self._stuck, self.queue_ms][-STUCK_AFTER:]
        if len(self._stuck) == STUCK_AFTER and min(self._stuck[1:]) > 0.8 * self._stuck[0]:
            newest_ms = self._samples[-1].sent_ms
            self._samples = deque(sample for sample in self._samples if newest_ms - sample.sent_ms < 1_000.0)
            self._stuck.clear()

    def _note_congestion(self, now_ms: float) -> None:
        self._congested_ms = self._decreased_ms = now_ms
        self._starting, self._probed_kbps = False, 0.0
        self.state = State.DRAIN

    def _grow(self, elapsed_s: float, now_ms: float) -> None:
        self._stuck.clear()
        before = self._rate
        if self._starting:
            self.state = State.START
            self._rate *= START_GROWTH**elapsed_s
        else:
            self.state = State.GROW
            calm_ms = now_ms - self._congested_ms
            speed = sum(part for after_ms, part in zip(PATIENCE_MS, SPEED_UP, strict=True) if calm_ms > after_ms)
            self._rate += (STEP_KBPS + speed * self._rate) * elapsed_s
        self._rate = max(before, min(self._rate, self._room_kbps))
        if self._samples[-1].sent_ms - self._burst_ms < RATE_WINDOW_MS:
            self._rate = max(before, min(self._rate, BURST_KBPS))

    @property
    def _room_kbps(self) -> float:
        """What may be tried after what was carried. Whoever has little to say may believe in a little more than that,
        in order to say more, but in no more than the network was ever seen to carry once that was seen."""
        tried = self._arrived_or_lost_kbps
        if self.app_limited and not self._starting:
            room = ROOM * tried + ROOM_KBPS
            return room if self._capacity_kbps is None else min(room, max(self._capacity_kbps, tried))
        if not self._starting:
            return ROOM * tried + ROOM_KBPS
        return tried * min(START_ROOM + tried * START_ROOM_A_KBPS, START_ROOM_MOST)

    def _forget(self, elapsed_s: float) -> None:
        goal = max(START_KBPS, ROOM * self._arrived_or_lost_kbps + ROOM_KBPS)
        if self._rate > goal:
            self._rate += (goal - self._rate) * min(1.0, 1000.0 * elapsed_s / FORGET_MS)
