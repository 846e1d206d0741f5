"""The process beside a call in which a reenactment network works. Imports little: the other process does, too."""

from __future__ import annotations

from contextlib import ExitStack

from avcall.cli.quiet import one_thread_each
from avcall.models.reenactment.beside import NetworkProcess
from avcall.models.reenactment.reenactor import NetworkReenactor
from avcall.models.registry import CLASSICAL, FOMM_SUFFIXES, load_pair


def start_network(model: str, device: str, stack: ExitStack) -> NetworkProcess | None:
    """Begins to load a network in a process of its own, where it will be late for pictures: on a processor. It ends
    with `stack`."""
    if device != "cpu" or model == CLASSICAL or model.endswith(FOMM_SUFFIXES):
        return None
    process = NetworkProcess(_load_network, model)
    stack.callback(process.close)
    return process


def _load_network(model: str) -> NetworkReenactor:
    """In the other process."""
    one_thread_each()
    _, reenactor = load_pair(model, "cpu")
    if not isinstance(reenactor, NetworkReenactor):
        raise TypeError(f"{model} is no network that may be late")
    return reenactor
