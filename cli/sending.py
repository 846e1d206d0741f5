"""The call of `avcall send`: source, detector and sender put together."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version

from avcall.cli.call import announce, one_worker, open_trace, say, talk, trace_summary
from avcall.cli.checks import check_face
from avcall.cli.keys import terminal_keys
from avcall.cli.quiet import one_thread_each
from avcall.common import wire
from avcall.common.clock import monotonic_ms
from avcall.common.config import SendConfig
from avcall.common.control import Hello
from avcall.common.errors import NoFaceError
from avcall.common.keypoints import COUNT
from avcall.common.stats import Stats
from avcall.common.trace import Trace
from avcall.models.classical import ClassicalReenactor
from avcall.models.interfaces import KeypointDetector
from avcall.models.registry import device_from_flag, load_pair
from avcall.models.segmentation import Segmenter
from avcall.sender.capture import CameraSource, FileSource, VideoSource
from avcall.sender.file_clock import FileClock
from avcall.sender.microphone import AudioSource, FileSound, open_microphone
from avcall.sender.pipeline import Sender
from avcall.sender.pivot_check import PivotChecker
from avcall.signaling.session import Session, open_session


async def send(config: SendConfig) -> None:
    """A call from this end, until the source, the peer, --seconds or a signal ends it.

    Raises:
        AvcallError: of any kind, also inside an ExceptionGroup.
    """
    one_thread_each()
    with ExitStack() as stack:
        source, microphone, what = open_source(config)
        device = device_from_flag(config.device)
        detector, _ = load_pair(config.model, device)
        announce(detector.model, device)
        stats = Stats()
        trace = open_trace(config, stack, model=detector.model.name, weights=detector.model.weights, device=device)
        trace.event("input", what=what)
        workers = open_workers(stack)
        hello = Hello(
            protocol=wire.VERSION,
            version=version("avcall"),
            model=detector.model.name,
            weights=detector.model.weights,
            keypoints=COUNT,
            size=config.size,
            fps=config.fps,
            sends=True,
            receives=False,
            voice=microphone is not None,
        )
        say(f"sending {what} to room {config.room}; waiting for the other end at {config.signal}")
        async with open_session(config, hello, monotonic_ms, stats) as session:
            say(f"connected to avcall {session.peer.version}; Ctrl-C ends the call")
            sender = make_sender(config, source, microphone, detector, session, workers, stats, trace)
            start_ms = monotonic_ms()
            try:
                with terminal_keys(mute_keys(sender)) as typed:
                    if typed:
                        say("type m and Enter to mute the microphone or open it again, v likewise for the picture")
                    how = await talk(
                        session, sender, seconds=config.seconds, finished="the video is over", trace=trace, stats=stats
                    )
            finally:
                trace_summary(session, stats, trace, start_ms, counters=dict(stats.counters), stage_ms=stats.stage_ms())
    seconds = (monotonic_ms() - start_ms) / 1000
    say(f"the call has ended: {how}; {stats.counters['frames_sent']} frames sent in {seconds:.0f} s")
    if not sender.face_seen:
        raise NoFaceError(f"no face was seen in {what}: face the camera, come nearer, put light on the face")


@dataclass(frozen=True, slots=True)
class Workers:
    """The threads of a sender: no frame waits for a pivot, and no word for a frame."""

    analysis: Executor
    pivots: Executor
    voice: Executor


def open_workers(stack: ExitStack) -> Workers:
    """They end with `stack`."""
    return Workers(
        stack.enter_context(one_worker("sender")),
        stack.enter_context(one_worker("sender-pivots", yields=True)),
        stack.enter_context(one_worker("sender-voice")),
    )


def make_sender(
    config: SendConfig,
    source: VideoSource,
    microphone: AudioSource | None,
    detector: KeypointDetector,
    session: Session,
    workers: Workers,
    stats: Stats,
    trace: Trace,
) -> Sender:
    """The sender with the stages that are in use."""
    checker = PivotChecker(ClassicalReenactor()) if config.pivots == "inter" else None
    return Sender(
        config,
        source=source,
        microphone=microphone,
        detector=detector,
        link=session.link,
        clock=monotonic_ms,
        executor=workers.analysis,
        pivot_executor=workers.pivots,
        voice_executor=workers.voice,
        stats=stats,
        trace=trace,
        checker=checker,
        segmenter=Segmenter() if config.wire == "coded" else None,
    )


def mute_keys(sender: Sender) -> dict[str, Callable[[], None]]:
    """What m and v do; each says what it did."""
    muted = {"voice": False, "video": False}

    def toggle(what: str, name: str) -> None:
        muted[what] = not muted[what]
        sender.set_muted(**muted)
        say(f"{name} {'off' if muted[what] else 'on'}")

    return {"m": lambda: toggle("voice", "microphone"), "v": lambda: toggle("video", "picture")}


def open_source(config: SendConfig) -> tuple[VideoSource, AudioSource | None, str]:
    """Picture and sound of the flags, opened, and their name for the user.

    Raises:
        InputError, NoFaceError, DeviceError: naming the flag.
    """
    if config.video is not None:
        clock = FileClock(config.video)
        check_face(config.video)
        source = FileSource(clock, config.fps, config.loop)
        sound = FileSound(clock, config.loop) if config.audio and clock.has_sound else None
        silent = "" if sound else " without sound" if config.audio else " (--no-audio)"
        return source, sound, f"{config.video.name}{silent}"
    number = config.camera or 0
    camera = CameraSource(number, config.fps)
    microphone = open_microphone(config.mic) if config.audio else None
    return camera, microphone, f"camera {number}{'' if microphone else ' without sound'}"
