"""What a target rate is spent on: voice first, then motion, then pivots and their quality, then resolution. Pure.

Costs count what a data-channel message costs on the wire beside its payload (docs/wire.md), so a longer span is
cheaper: at 40 ms its headers take 17 kbit/s, at 200 ms 3.4.
"""

from __future__ import annotations

from dataclasses import dataclass

MESSAGE_BYTES = 85
"""DTLS, SCTP, UDP and IPv4 around a data-channel message."""
SPANS_MS = (40, 80, 120, 160, 200)
KEYPOINTS_KBPS = {40: 4.2, 80: 2.7, 120: 2.2, 160: 1.9, 200: 1.8}
"""Coded keypoints in their bundles, without the message around them: results/keypoints.json."""
COPY_BYTES = 10
"""About what a coarse copy adds to a bundle."""
VOICE_MIN_KBPS, VOICE_STEP_KBPS = 6.0, 2.0
"""Below the least Opus is no longer speech that one likes to hear. It gets better in steps: the coder starts afresh at
each, which can be heard."""
PIVOT_MIN_KBPS = 1.5
REPEAT_FROM_LOSS = 0.03
LARGE_FROM_KBPS, LARGE_SIDE, SIDE = 12.0, 512, 256
SPARE = 1.06
"""A shorter span has to be affordable by this much more, or it would change with every report."""
SLICE_MS = 60.0
"""What waits behind a slice of a pivot waits for at most about so long."""
SLICE_BYTES = (120, 1088)
FIRST_PACE_KBPS = 3.2
"""The first pivot goes on at this pace while a queue drains: with the least of voice and motion it is what 15 kbit/s
carry, and without it there is nothing to see. Thinner paths get a longer queue."""
FIRST_SLICE_BYTES = 240
"""The least of the first pivot's: the head of each slice keeps the first face waiting."""


@dataclass(frozen=True, slots=True)
class Wants:
    """What the call could use, at most."""

    voice_kbps: float = 8.0
    """0 without a microphone."""
    span_ms: int = 120
    longest_ms: int = SPANS_MS[-1]
    """The shortest and the longest, each one of SPANS_MS."""
    pivot_kbps: float = 6.0
    side: int = SIDE


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the call may use."""

    voice_kbps: float
    span_ms: int
    repeat: bool
    """Bundles carry a coarse copy of the one before."""
    pivot_kbps: float
    """On the wire and in the mean, resent slices and their headers included."""
    pace_kbps: float
    """While one is being sent: with what nothing else has any use for."""
    slice_bytes: int
    """Payload of a slice of a pivot, at most."""
    side: int
    """Of a pivot's picture, in pixels."""

    @property
    def thin(self) -> bool:
        """Nothing is left over the least of everything: motion should cost less still. That is not reckoned with here:
        it is what keeps the queue of such a path short."""
        return self.pace_kbps <= PIVOT_MIN_KBPS


def allow(
    target_kbps: float,
    wants: Wants,
    *,
    loss: float = 0.0,
    other_kbps: float = 0.0,
    first_pivot: bool = False,
    before: Allowance | None = None,
) -> Allowance:
    """Spends a target rate.

    Args:
        target_kbps: on the wire, everything counted.
        loss: the part of the packets that is lost.
        other_kbps: what is sent besides and cannot be helped: acknowledgements, control, keep-alives.
        first_pivot: nothing can be shown before a pivot has arrived: pivots come right after the least of voice and
            motion.
        before: the allowance in force, so that spans do not flutter.
    """
    voice = min(VOICE_MIN_KBPS, wants.voice_kbps)
    repeat = loss >= REPEAT_FROM_LOSS
    spans = [span for span in reversed(SPANS_MS) if wants.span_ms <= span <= wants.longest_ms]
    left = target_kbps - other_kbps - voice - motion_kbps(spans[0], repeat) - PIVOT_MIN_KBPS
    span = spans[0]
    if left > 0.0 and not first_pivot:
        better = min(left // VOICE_STEP_KBPS * VOICE_STEP_KBPS, wants.voice_kbps - voice)
        voice, left = voice + better, left - better
        for shorter in spans[1:]:
            costs = motion_kbps(shorter, repeat) - motion_kbps(span, repeat)
            keeps = before is not None and before.span_ms <= shorter
            if left < costs * (1.0 if keeps else SPARE) + (0.0 if keeps else (SPARE - 1.0) * target_kbps):
                break
            span, left = shorter, left - costs
    pace = PIVOT_MIN_KBPS + max(0.0, left)
    pivot = min(wants.pivot_kbps, pace)
    if first_pivot and left < 0.0:
        pace = max(FIRST_PACE_KBPS, PIVOT_MIN_KBPS + left)
    slice_bytes = max(round(target_kbps * SLICE_MS / 8.0) - MESSAGE_BYTES, FIRST_SLICE_BYTES * first_pivot)
    return Allowance(
        voice_kbps=voice,
        span_ms=span,
        repeat=repeat,
        pivot_kbps=pivot,
        pace_kbps=pace,
        slice_bytes=min(max(slice_bytes, SLICE_BYTES[0]), SLICE_BYTES[1]),
        side=LARGE_SIDE if pivot >= LARGE_FROM_KBPS and wants.side >= LARGE_SIDE else min(wants.side, SIDE),
    )


def motion_kbps(span_ms: int, repeat: bool) -> float:
    """What bundles of this span cost on the wire, without the voice in them."""
    return KEYPOINTS_KBPS[span_ms] + 8.0 * (MESSAGE_BYTES + COPY_BYTES * repeat) / span_ms
