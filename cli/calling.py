"""The call of `avcall call`: a sender and a receiver over one session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from avcall.cli.call import announce, one_worker, open_trace, say, talk, trace_summary
from avcall.cli.call_command import RECEIVED, SENT
from avcall.cli.keys import terminal_keys
from avcall.cli.quiet import one_thread_each
from avcall.cli.receiving import Buttons, make_receiver, open_renderers, open_speaker, stages_of, tail_ms
from avcall.cli.sending import make_sender, mute_keys, open_source, open_workers
from avcall.common import wire
from avcall.common.clock import monotonic_ms
from avcall.common.config import CallConfig, ReceiveConfig, SendConfig
from avcall.common.control import Hello, Message
from avcall.common.errors import NoFaceError
from avcall.common.keypoints import COUNT
from avcall.common.stats import Stats
from avcall.common.wire import Packet
from avcall.models.registry import device_from_flag, load_pair
from avcall.receiver.opus_decoder import Samples
from avcall.receiver.pipeline import Receiver
from avcall.receiver.speaker import SoundCardSpeaker, Speaker
from avcall.sender.echo import EchoCancelled, PlayedSound
from avcall.sender.microphone import AudioSource, Microphone
from avcall.sender.pipeline import Sender
from avcall.signaling.session import open_session


async def call(sending: SendConfig, receiving: ReceiveConfig, *, echo_cancellation: bool = True) -> None:
    """A call in both directions, until the source, the window, the peer, --seconds or a signal ends it.

    With `echo_cancellation` a microphone does not send what the sound card here plays.

    Raises:
        AvcallError: of any kind, also inside an ExceptionGroup.
    """
    one_thread_each()
    with ExitStack() as stack:
        source, microphone, what = open_source(sending)
        buttons = Buttons()
        renderers = open_renderers(receiving, buttons, stack)
        speaker = open_speaker(receiving)
        stack.callback(speaker.close)
        microphone, played = without_echo(microphone, speaker) if echo_cancellation else (microphone, None)
        device = device_from_flag(sending.device)
        detector, reenactor = load_pair(sending.model, device, apart=stack)
        model = detector.model
        announce(model, reenactor.device)
        start = {"model": model.name, "weights": model.weights, "device": device}
        sent, received = Stats(), Stats()
        stages = stages_of(receiving, reenactor, received, stack)
        sent_trace = open_trace(_below(sending, SENT), stack, **start)
        received_trace = open_trace(_below(receiving, RECEIVED), stack, **start)
        sent_trace.event("input", what=what)
        # a picture being drawn must not delay the next one's capture time
        workers = open_workers(stack)
        drawing = stack.enter_context(one_worker("receiver"))
        preparing = stack.enter_context(one_worker("pivots", yields=True))
        hello = Hello(
            protocol=wire.VERSION,
            version=version("avcall"),
            model=model.name,
            weights=model.weights,
            keypoints=COUNT,
            size=sending.size,
            fps=sending.fps,
            sends=True,
            receives=True,
            voice=microphone is not None,
        )
        say(f"calling room {sending.room} with {what}; waiting for the other end at {sending.signal}")
        async with open_session(sending, hello, monotonic_ms, sent) as session:
            say(f"connected to avcall {session.peer.version}; Ctrl-C ends the call")
            sender = make_sender(sending, source, microphone, detector, session, workers, sent, sent_trace)
            receiver = make_receiver(
                receiving,
                stages,
                renderers,
                speaker,
                session,
                drawing,
                preparing,
                received,
                received_trace,
                sender.attach,
                played,
            )
            buttons.quit, buttons.mute = receiver.stop, receiver.toggle_sound
            start_ms = monotonic_ms()
            try:
                with terminal_keys(mute_keys(sender)) as typed:
                    if typed:
                        say("type m and Enter to mute the microphone or open it again, v likewise for the picture")
                    how = await talk(
                        session,
                        Both(sender, receiver),
                        seconds=sending.seconds,
                        finished="the video is over or the window was closed",
                        trace=sent_trace,
                        stats=sent,
                        tail_ms=lambda: tail_ms(receiver),
                    )
            finally:
                trace_summary(
                    session, sent, sent_trace, start_ms, counters=dict(sent.counters), stage_ms=sent.stage_ms()
                )
                summary = receiver.summary(monotonic_ms(), session.offset.offset_ms)
                trace_summary(session, received, received_trace, start_ms, **summary)
    _tell_the_end(how, start_ms, sent, summary)
    if not sender.face_seen:
        raise NoFaceError(f"no face was seen in {what}: face the camera, come nearer, put light on the face")
    if summary["time_to_first_face_ms"] is None:
        raise NoFaceError("no face arrived before the call ended: is there one in the picture at the other end?")
    if receiving.record is not None:
        say(f"recorded to {receiving.record}")


def without_echo(
    microphone: AudioSource | None, speaker: Speaker
) -> tuple[AudioSource | None, Callable[[Samples, float], None] | None]:
    """The microphone without what the speaker plays, and whom to tell what that is; unchanged, and None, where one of
    the two is no device: a file hears nothing, and silence has no echo."""
    if not (isinstance(microphone, Microphone) and isinstance(speaker, SoundCardSpeaker)):
        return microphone, None
    played = PlayedSound()
    return EchoCancelled(microphone, played), played.play


def _tell_the_end(how: str, start_ms: float, sent: Stats, summary: dict[str, Any]) -> None:
    seconds = (monotonic_ms() - start_ms) / 1000
    say(
        f"the call has ended: {how}; {sent.counters['frames_sent']} frames sent, "
        f"{summary['fps_shown']:.1f} pictures a second shown in {seconds:.0f} s"
    )


def _below(config: CallConfig, folder: str) -> CallConfig:
    return config if config.trace is None else replace(config, trace=config.trace / folder)


class Both:
    """A sender and a receiver as one `Pipeline`: what ends first ends both."""

    def __init__(self, sender: Sender, receiver: Receiver) -> None:
        self._sender = sender
        self._receiver = receiver

    async def run(self) -> None:
        """Raises:
        ExceptionGroup: of AvcallErrors of either.
        """
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(self._sender.run(), name="sender"),
                group.create_task(self._receiver.run(), name="receiver"),
            ]
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in running:
                task.cancel()

    def on_packet(self, packet: Packet, size_bytes: int, now_ms: float) -> None:
        """See Endpoint: each takes what is for it."""
        self._sender.on_packet(packet, size_bytes, now_ms)
        self._receiver.on_packet(packet, size_bytes, now_ms)

    def on_message(self, message: Message, now_ms: float) -> None:
        """See Endpoint."""
        self._sender.on_message(message, now_ms)
        self._receiver.on_message(message, now_ms)
