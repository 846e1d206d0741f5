"""The call of `avcall receive`: reenactor, renderers, speaker and receiver put together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from avcall.cli.call import announce, one_worker, open_trace, say, talk, trace_summary
from avcall.cli.quiet import one_thread_each
from avcall.cli.stages import Stages, make_stages
from avcall.common import wire
from avcall.common.clock import monotonic_ms
from avcall.common.config import DISPLAY_FPS, ReceiveConfig
from avcall.common.control import Hello
from avcall.common.errors import DeviceError, NoFaceError
from avcall.common.keypoints import COUNT, Image
from avcall.common.stats import Stats
from avcall.common.trace import Trace
from avcall.common.wire import Packet
from avcall.models.interfaces import Reenactor
from avcall.models.registry import device_from_flag, load_pair
from avcall.receiver.opus_decoder import Samples
from avcall.receiver.pipeline import Receiver
from avcall.receiver.recorder import Recorder
from avcall.receiver.renderers import Offscreen, Renderer, Window
from avcall.receiver.speaker import SilentSpeaker, SoundCardSpeaker, Speaker
from avcall.signaling.session import Session, open_session

TAIL_MS = 150.0
"""What the peer sent before its bye is shown and heard for the play-out delay and this much longer."""
logger = logging.getLogger(__name__)


async def receive(config: ReceiveConfig) -> None:
    """A call at this end, until the peer, the window, --seconds or a signal ends it.

    Raises:
        AvcallError: of any kind, also inside an ExceptionGroup.
    """
    one_thread_each()
    with ExitStack() as stack:
        buttons = Buttons()
        renderers = open_renderers(config, buttons, stack)
        speaker = open_speaker(config)
        stack.callback(speaker.close)
        device = device_from_flag(config.device)
        _, reenactor = load_pair(config.model, device, apart=stack)
        announce(reenactor.model, reenactor.device)
        stats = Stats()
        stages = stages_of(config, reenactor, stats, stack)
        trace = open_trace(config, stack, model=reenactor.model.name, weights=reenactor.model.weights, device=device)
        drawing, preparing = (
            stack.enter_context(one_worker("receiver")),
            stack.enter_context(one_worker("pivots", yields=True)),
        )
        hello = Hello(
            protocol=wire.VERSION,
            version=version("avcall"),
            model=reenactor.model.name,
            weights=reenactor.model.weights,
            keypoints=COUNT,
            size=config.display_size,
            fps=DISPLAY_FPS,
            sends=False,
            receives=True,
            voice=True,
        )
        say(f"waiting for the call of room {config.room} at {config.signal}")
        async with open_session(config, hello, monotonic_ms, stats) as session:
            say(f"connected to avcall {session.peer.version}; Ctrl-C ends the call")
            receiver = make_receiver(config, stages, renderers, speaker, session, drawing, preparing, stats, trace)
            buttons.quit, buttons.mute = receiver.stop, receiver.toggle_sound
            start_ms = monotonic_ms()
            try:
                how = await talk(
                    session,
                    receiver,
                    seconds=config.seconds,
                    finished="the window was closed",
                    trace=trace,
                    stats=stats,
                    tail_ms=lambda: tail_ms(receiver),
                )
            finally:
                summary = receiver.summary(monotonic_ms(), session.offset.offset_ms)
                trace_summary(session, stats, trace, start_ms, **summary)
    seconds = (monotonic_ms() - start_ms) / 1000
    say(f"the call has ended: {how}; {summary['fps_shown']:.1f} pictures a second shown in {seconds:.0f} s")
    if summary["time_to_first_face_ms"] is None:
        raise NoFaceError("no face arrived before the call ended: is there one in the picture at the other end?")
    if config.record is not None:
        say(f"recorded to {config.record}")


def stages_of(config: ReceiveConfig, reenactor: Reenactor, stats: Stats, stack: ExitStack) -> Stages:
    """The stages of a call at this end; takes a second, so before the call is open. Their worker ends with `stack`."""
    return make_stages(
        reenactor,
        device=reenactor.device,
        display_size=config.display_size,
        quality=config.quality,
        clock=monotonic_ms,
        stats=stats,
        beside=stack.enter_context(one_worker("network", yields=True)) if reenactor.device == "cpu" else None,
    )


def make_receiver(
    config: ReceiveConfig,
    stages: Stages,
    renderers: Sequence[Renderer],
    speaker: Speaker,
    session: Session,
    executor: Executor,
    pivot_executor: Executor,
    stats: Stats,
    trace: Trace,
    tell: Callable[[Packet], None] | None = None,
    played: Callable[[Samples, float], None] | None = None,
) -> Receiver:
    """The receiver of a call; `tell` and `played` as `Receiver` has them."""
    return Receiver(
        config,
        reenactor=stages.reenactor,
        upscaler=stages.upscaler,
        enhancer=stages.enhancer,
        interpolators=stages.interpolators,
        renderers=renderers,
        speaker=speaker,
        link=session.link,
        clock=monotonic_ms,
        executor=executor,
        pivot_executor=pivot_executor,
        stats=stats,
        trace=PrintedRates(trace) if config.stats else trace,
        tell=tell,
        played=played,
        budget=stages.budget,
    )


def tail_ms(receiver: Receiver) -> float:
    """How long it takes until everything that has arrived was shown and heard."""
    delay_ms = receiver.summary(monotonic_ms(), None)["play_out_delay_ms"]
    return TAIL_MS + delay_ms if isinstance(delay_ms, float) else TAIL_MS


@dataclass
class Buttons:
    """What the keys of the window do; settled when the call stands."""

    quit: Callable[[], None] = field(default=lambda: None)
    mute: Callable[[], None] = field(default=lambda: None)


def open_renderers(config: ReceiveConfig, buttons: Buttons, stack: ExitStack) -> list[Renderer]:
    """Window and recorder as the flags say, or what stands for a window; closed with `stack`.

    Raises:
        DeviceError, OutputError: naming the flag.
    """
    renderers: list[Renderer] = []
    if config.window:
        renderers.append(Window(lambda: buttons.quit(), lambda: buttons.mute()))
    if config.record is not None:
        renderers.append(Recorder(config.record))
    if not renderers:
        renderers.append(Offscreen())
    for renderer in renderers:
        stack.callback(renderer.close)
    return renderers


def open_speaker(config: ReceiveConfig) -> Speaker:
    """The sound card, or silence at the same pace: with --no-audio, and, with a warning, where there is no card.

    Raises:
        DeviceError: --speaker was given and cannot be used.
    """
    if not config.audio:
        return SilentSpeaker()
    try:
        return SoundCardSpeaker(config.speaker)
    except DeviceError as error:
        if config.speaker:
            raise
        logger.warning("the call is silent here: %s", error)
        return SilentSpeaker()


class PrintedRates:
    """A Trace that also prints the figures of each second: --stats."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def picture(self, image: Image, **values: object) -> None:
        self._trace.picture(image, **values)

    def event(self, kind: str, **values: Any) -> None:
        self._trace.event(kind, **values)
        if kind == "rate":
            payload = sum(values["payload_kbps"].values())
            wired = values["wire_kbps"]
            say(
                f"{values['fps_shown']:4.0f} pictures/s  {payload:5.1f} kbit/s payload  "
                f"wire {wired['down']:5.1f} down {wired['up']:5.1f} up kbit/s  "
                f"delay {values['delay_ms']:4.0f} ms  {values['keypoints_lost']} lost"
            )
