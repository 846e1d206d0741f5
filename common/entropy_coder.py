"""Codes small numbers around zero: `constriction`'s range coder under two-sided geometric laws. Sans-IO, and the same
bits on every machine.

Everything up to the probabilities is integer arithmetic, and these are multiples of 2**-20 whose sum is 1 exactly: so
the coder's tables do not depend on a machine's `exp` or `log`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import cache
from itertools import accumulate
from math import log2
from typing import Any, TypeAlias

import constriction
import numpy as np

MOST = 2048
"""Numbers beyond this, in either direction, cannot be coded."""
_WIDEST = 31
"""Numbers beyond this, in either direction, are coded as an escape and the value itself."""
_ESCAPE = 2 * _WIDEST + 1
_ESCAPED = 2 * MOST + 1
"""Values that an escape may be followed by."""
_TOTAL = 1 << 20
_FINE_BITS = 40
_WORD_BITS = 32
_WORDS_AFTER = 4
"""Zero words the decoder sees after the data: the encoder drops the zeros at the end."""
_PRIOR = 1024
"""How long the expected width is believed against the remainders seen: 256ths of a step."""
_RATIOS = (23, 32, 45, 64, 90, 126, 176, 242, 326, 424, 530, 633, 724, 800, 859, 904, 937, 962, 980, 993)
"""Of a law's neighbouring probabilities, in 1,024ths; each law is wider than the one before by the square root of 2."""
_WIDTHS = (14, 19, 27, 38, 54, 76, 108, 152, 215, 304, 431, 609, 861, 1220, 1724, 2435, 3424, 4871, 6929)
"""Where the next law begins: mean sizes in 256ths of a step."""
_WIDER = 4


Code: TypeAlias = Callable[[int, int], int]
"""(number, width) to the number: codes it, or ignores the argument and decodes it. The width is the mean size to
expect, in 256ths."""


class Encoder:
    """`code` is a `Code`."""

    def __init__(self) -> None:
        self._encoder = constriction.stream.queue.RangeEncoder()
        self._said: list[tuple[int, Any]] = []
        """Each symbol and its law."""

    def code(self, number: int, width: int) -> int:
        if abs(number) <= _WIDEST:
            self._say(number + _WIDEST, _law(width))
        else:
            self._say(_ESCAPE, _law(width))
            self._say(number + _ESCAPED // 2, _uniform())
        return number

    @property
    def bits(self) -> float:
        """What the numbers so far take, to a fraction of a bit."""
        words, (_, width) = self._encoder.pos()
        return float(_WORD_BITS * words + 2 * _WORD_BITS - log2(width))

    def finish(self) -> bytes:
        """The fewest bytes that still say the same: whole words are too many."""
        data: bytes = self._encoder.get_compressed().astype(">u4").tobytes()
        for size in range(max(0, len(data) - 4), len(data)):
            number = int.from_bytes(data[:size], "big")
            for candidate in (number, number + 1):
                if candidate < 256**size and self._says_the_same(shorter := candidate.to_bytes(size, "big")):
                    return shorter
        return data

    def _say(self, symbol: int, law: Any) -> None:
        self._encoder.encode(symbol, law)
        self._said.append((symbol, law))

    def _says_the_same(self, data: bytes) -> bool:
        decoder = _range_decoder(data)
        try:
            return all(int(decoder.decode(law)) == symbol for symbol, law in self._said)
        except AssertionError:  # the library's word for bytes that no encoder has made
            return False


class Decoder:
    """`code` is a `Code`, which raises AssertionError, the library's word for it, on bytes that no encoder has made."""

    def __init__(self, data: bytes) -> None:
        self._decoder = _range_decoder(data)

    def code(self, _: int, width: int) -> int:
        symbol = int(self._decoder.decode(_law(width)))
        return symbol - _WIDEST if symbol != _ESCAPE else int(self._decoder.decode(_uniform())) - _ESCAPED // 2


class Need:
    """How wide the numbers of this run are, compared with the usual."""

    def __init__(self) -> None:
        self._seen = self._usual = _PRIOR

    def width(self, usual: int) -> int:
        """Mean size to expect, in 256ths of a step, where it is usually `usual`."""
        return usual * self._seen // self._usual

    def note(self, size: int, usual: int) -> None:
        self._seen += 256 * size
        self._usual += usual


def _range_decoder(data: bytes) -> Any:
    padded = data + bytes(-len(data) % 4 + 4 * _WORDS_AFTER)
    return constriction.stream.queue.RangeDecoder(np.frombuffer(padded, dtype=">u4").astype(np.uint32))


def _law(width: int) -> Any:
    return _laws()[bisect_left(_WIDTHS, width)]


@cache
def _laws() -> list[Any]:
    wider = (*_RATIOS[_WIDER:], *_RATIOS[-1:] * _WIDER)
    return [_make_law(*ratios) for ratios in zip(_RATIOS, wider, strict=True)]


def _make_law(ratio: int, wider: int) -> Any:
    """Two-sided geometric; an eighth of it is of a wider law, for what comes unexpected."""
    both = zip(_geometric(ratio), _geometric(wider), strict=True)
    shares = [(7 * narrow + wide) // 8 for narrow, wide in both]
    escape = (1 << _FINE_BITS) - 2 * sum(shares) + shares[0]
    counts = [1 + (share * (_TOTAL - _ESCAPE - 1) >> _FINE_BITS) for share in (*shares[:0:-1], *shares, escape)]
    counts[_WIDEST] += _TOTAL - sum(counts)
    return constriction.stream.model.Categorical(np.array(counts, dtype=np.float64) / _TOTAL, perfect=False)


def _geometric(ratio: int) -> list[int]:
    """Probability of each size from 0 to _WIDEST (with one sign), times 2**_FINE_BITS."""
    first = (1024 - ratio << _FINE_BITS) // (1024 + ratio)
    return list(accumulate(range(_WIDEST), lambda before, _: before * ratio >> 10, initial=first))


@cache
def _uniform() -> Any:
    return constriction.stream.model.Uniform(_ESCAPED)
