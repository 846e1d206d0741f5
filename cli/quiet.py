"""What avcall says, and what the libraries under it are kept from saying."""

from __future__ import annotations

import logging
import os
import sys
import warnings

_NOISY = ("absl", "aioice", "aiortc", "asyncio", "libav", "matplotlib", "PIL")


def set_up_logging(debug: bool) -> None:
    """avcall's warnings, one line each, on stderr; with `debug` everything, the libraries' words included."""
    if debug:
        logging.basicConfig(level=logging.DEBUG, format="%(relativeCreated)8.0f %(name)s: %(message)s")
        for name in ("matplotlib", "PIL", "libav"):
            logging.getLogger(name).setLevel(logging.INFO)
        return
    logging.basicConfig(level=logging.WARNING, format="avcall: %(message)s")
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


SWITCH_S = 0.0001
"""So long a thread may keep the interpreter's lock when others want it."""


def hush_native() -> None:
    """Keeps what C++ libraries write straight to file descriptor 2 (mediapipe's glog, FFmpeg) off the terminal, until
    the process ends: their threads write at any time. What Python writes to sys.stderr still gets there."""
    try:
        if sys.stderr.fileno() != 2:  # somebody has redirected Python's stderr already
            return
    except (OSError, ValueError, AttributeError):  # no real file behind it
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    sys.stderr = open(terminal, "w", buffering=1, encoding=sys.stderr.encoding, errors="replace")  # noqa: PTH123, SIM115
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def one_thread_each() -> None:
    """A call's stages share few cores: a library that starts a thread a core makes all of them slower.

    Drawing a picture lets go of the interpreter's lock a few hundred times, and each time waits for it while another
    thread computes in Python. At the usual 5 ms a wait, 8 ms of drawing took 30; at 0.5 ms, 10 ms took 22, and 13 at
    0.1 ms.
    """
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    sys.setswitchinterval(SWITCH_S)
