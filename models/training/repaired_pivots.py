"""A pack's coded pivots as the receiver's enhancement leaves them: what the reenactment network is given in a call.

Made once, kept on disk, as large as the pack's own:

    <out>/<split>/<clip>/coded.npy, coded_index.npy    every EVERY-th coded pivot of the pack, repaired
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from avcall.common.errors import OutputError
from avcall.models.interfaces import Enhancer
from avcall.models.training.pairs import Pack

EVERY = 4
"""Repairing takes a tenth of a second a pivot: a quarter of them is enough, and still of all qualities."""
_log = logging.getLogger(__name__)


def repair_pivots(pack: Pack, enhancer: Enhancer, out: Path) -> None:
    """Writes the repaired pivots of one split of a pack to `out`; clips that are there already are kept.

    Raises:
        OutputError: the folder cannot be written.
    """
    for number, clip in enumerate(pack.clips):
        folder = out / clip.name
        if folder.exists():
            continue
        partial = folder.with_name(folder.name + ".part")
        repaired = np.stack([enhancer.enhance(np.array(picture)) for picture in clip.coded[::EVERY]])
        try:
            partial.mkdir(parents=True, exist_ok=True)
            np.save(partial / "coded.npy", repaired)
            np.save(partial / "coded_index.npy", clip.coded_index[::EVERY])
            partial.rename(folder)
        except OSError as error:
            raise OutputError(f"--pivots {out} cannot be written: {error.strerror}") from error
        if number % 20 == 0:
            _log.info("pivots repaired of %d of %d clips", number + 1, len(pack.clips))
