"""Pivots' pictures, each in its place: links of a chain are decoded in order or not at all. Sans-IO."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from avcall.common.errors import ProtocolError
from avcall.common.keypoints import Image
from avcall.common.pivot_format import PivotBody, PivotCodec
from avcall.models.pivot_codec import decode_pivot
from avcall.models.pivot_video import ChainDecoder

OPEN_CHAINS = 2
"""The latest, and the one before it whose last link may be on its way."""


@dataclass(slots=True)
class _Chain:
    decoder: ChainDecoder
    size: tuple[int, int]
    next_link: int = 0


class PivotDecoder:
    """Keeps the decoders of the latest chains."""

    def __init__(self) -> None:
        self._chains: OrderedDict[int, _Chain] = OrderedDict()

    def decode(self, body: PivotBody) -> Image:
        """The pivot's picture.

        Raises:
            ProtocolError: damaged, or a link whose predecessor was never decoded. A chain that fails is closed: only a
                key frame (link 0) helps, which the caller should ask for.
        """
        if body.codec is not PivotCodec.AV1_CHAIN:
            return decode_pivot(body.codec, body.picture, body.width, body.height)
        size = body.width, body.height
        if body.link == 0:
            self._chains.pop(body.chain, None)
            self._chains[body.chain] = _Chain(ChainDecoder(*size), size)
            while len(self._chains) > OPEN_CHAINS:
                self._chains.popitem(last=False)
        chain = self._chains.get(body.chain)
        if chain is None or (chain.next_link, chain.size) != (body.link, size):
            raise ProtocolError(f"link {body.link} of pivot chain {body.chain} without the one before it")
        try:
            image = chain.decoder.decode(body.picture)
        except ProtocolError:
            del self._chains[body.chain]
            raise
        chain.next_link += 1
        return image
