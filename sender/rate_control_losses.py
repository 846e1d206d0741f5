"""Whether losses are chance or of our own making: the part of `rate_control` that looks at them. Sans-IO."""

from __future__ import annotations

import math
from enum import Enum

from avcall.sender.rate_control_feedback import Feedback

LOSS_PACKETS = 24
LOSS_ALARM, LOSS_SIGMAS = 0.12, 2.6
STILL = 0.45
"""Losses are chance where this part of them stays although less is sent."""
FLOOR_SHARE = 0.1
RECENT_PACKETS = 16.0


class Verdict(Enum):
    """What a window of losses says."""

    ALARM = "alarm"
    CHANCE = "chance"
    POLICED = "policed"


class Losses:
    """The losses of each LOSS_PACKETS packets, and which part of them is not of our making. Packets without a stamp are
    missed by their bytes only."""

    def __init__(self) -> None:
        self._expected = self._lost = self._sent_bytes = self._missing_bytes = 0
        self._tested: float | None = None
        self._since_ms = float("-inf")
        self.loss = 0.0
        """Of the last whole window."""
        self.recent = 0.0
        """Smoothed: known sooner, and less well."""
        self.floor = 0.0

    @property
    def testing(self) -> bool:
        """Between `test` and its verdict."""
        return self._tested is not None

    def test(self, now_ms: float) -> None:
        """Less is sent from now on: the next window of what is sent then tells whether that helps."""
        self._tested, self._since_ms = self.loss, now_ms
        self._forget()

    def _forget(self) -> None:
        self._expected = self._lost = self._sent_bytes = self._missing_bytes = 0

    def take(self, feedback: Feedback) -> Verdict | None:
        """Takes note of a report."""
        if feedback.samples[0].sent_ms < self._since_ms:
            return None
        self._expected += feedback.expected
        self._lost += feedback.lost
        self._sent_bytes += feedback.sent_bytes
        self._missing_bytes += feedback.sent_bytes - feedback.delivered_bytes
        if feedback.expected:
            share = min(1.0, feedback.expected / RECENT_PACKETS)
            self.recent += share * (feedback.lost / feedback.expected - self.recent)
        if self._expected < LOSS_PACKETS:
            return None
        self.loss = max(self._lost / self._expected, self._missing_bytes / max(1, self._sent_bytes))
        self._forget()
        if self._tested is not None:
            chance = self.loss > STILL * self._tested
            self.floor = 0.5 * (self._tested + self.loss) if chance else self.floor
            self._tested = None
            return Verdict.CHANCE if chance else Verdict.POLICED
        alarm = max(LOSS_ALARM, LOSS_SIGMAS * math.sqrt(self.floor * (1.0 - self.floor) / LOSS_PACKETS))
        if self.loss - self.floor > alarm:
            return Verdict.ALARM
        self.floor += FLOOR_SHARE * (self.loss - self.floor) if self.floor else 0.0
        return None
