"""Deformations and their inverse."""

from __future__ import annotations

import numpy as np
import torch

from avcall.models.training.deformation import Deformation


def test_forth_is_the_inverse_of_back_and_bends() -> None:
    deformation = Deformation.draw(np.random.default_rng(0), 8)
    places = torch.rand(16, 50, 2) * 1.6 - 0.8
    assert (deformation.back(deformation.forth(places)) - places).abs().max() * 127.5 < 0.02
    line = torch.stack([torch.linspace(-0.5, 0.5, 9), torch.zeros(9)], -1).expand(16, 9, 2)
    bent = deformation.back(line)
    assert (bent[:, 4] - (bent[:, 0] + bent[:, 8]) / 2).norm(dim=-1).mean() * 127.5 > 0.3


def test_pairs_are_mirrored_together() -> None:
    deformation = Deformation.draw(np.random.default_rng(0), 20)
    mirrored = deformation.mirrored
    assert np.array_equal(mirrored[:20], mirrored[20:])
    assert 0 < mirrored.sum() < 40
    assert np.array_equal(np.linalg.det(deformation.turn.numpy()) < 0, mirrored)


def test_none_leaves_everything_where_it_is() -> None:
    places = torch.rand(3, 5, 2)
    assert torch.equal(Deformation.none(3).back(places), places)
    assert torch.equal(Deformation.none(3).forth(places), places)
