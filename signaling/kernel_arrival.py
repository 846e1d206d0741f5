"""When a datagram came to this machine, not when this program got around to it.

A program that draws pictures on all cores reads its sockets some tens of milliseconds late, and rate control would take
that for a queue in the network. Linux keeps the time of the datagram that was read last (`SIOCGSTAMPNS`, socket(7)).
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable
from typing import Any

if sys.platform == "linux":
    import fcntl

_SIOCGSTAMPNS = 0x8907
_TIMESPEC = struct.Struct("@ll")
_LONGEST_S = 2.0
"""More is no waiting: the machine's clock was set."""


class Arrived(bytes):
    """A datagram, and when it came, in the event loop's time."""

    at_s: float

    @classmethod
    def now(cls, data: bytes, waited_s: float) -> Arrived:
        """One that waited so long until it was read."""
        arrived = cls(data)
        arrived.at_s = time.monotonic() - waited_s
        return arrived


def waited_s(transport: Any) -> float:
    """How long the datagram that was read last from a transport's socket had lain there; 0 where nobody knows: on other
    systems, over TCP, and for the first one."""
    try:
        number = transport.get_extra_info("socket").fileno()
        seconds, nanoseconds = _TIMESPEC.unpack(_ioctl(number, _SIOCGSTAMPNS, bytes(_TIMESPEC.size)))
    except (AttributeError, OSError, ValueError):
        return 0.0
    waited = time.time() - (seconds + 1e-9 * nanoseconds)
    return waited if 0.0 < waited < _LONGEST_S else 0.0


def _no_ioctl(number: int, request: int, buffer: bytes) -> bytes:
    raise OSError


_ioctl: Callable[[int, int, bytes], bytes] = fcntl.ioctl if sys.platform == "linux" else _no_ioctl
